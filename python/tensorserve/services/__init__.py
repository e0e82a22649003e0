# SPDX-License-Identifier: Apache-2.0
"""Changes what is served while it is served, and tells about it.

`catalog` is the one place that changes models; `reload_plan` (pure functions, the first file to read) says what a
change means or why it is refused. Three ways lead there: `model_service` (HandleReloadConfigRequest), `config_file`
(the file is read again), and `admin_api` (REST). `control_plane` is what the data plane hands requests to;
`admin_service` answers those of the admin API, and `admin_access` says who may make them. `model_states` keeps what the
events tell. Depends on `lifecycle`, `config`, `protos`, `types` and `errors`.
"""
