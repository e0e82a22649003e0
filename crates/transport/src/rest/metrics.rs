// SPDX-License-Identifier: Apache-2.0
//! The page that Prometheus reads, for any HTTP method, as in the original.

use std::sync::Arc;

use http::StatusCode;
use http::header::HeaderValue;
use http::request::Parts;
use tensorserve_servables::Result;
use tensorserve_servables::execution::executor::{RunCost, RunTime};
use tensorserve_servables::metrics::report::report;

use super::heavy;
use super::reply::{Reply, with_type};
use crate::lane::Lane;

/// What writing the page takes; with many models it is long.
static WRITE: RunCost = RunCost::new(RunTime::InputSizes);

/// Whether the request is for the page.
pub(super) fn is_asked_for(head: &Parts, lane: &Lane) -> bool {
    lane.serving.options.metrics_path.as_deref() == Some(head.uri.path())
}

/// The page. A query is refused.
pub(super) async fn reply(head: &Parts, lane: &Lane) -> Result<Reply> {
    let plain = HeaderValue::from_static("text/plain");
    if let Some(query) = head.uri.query() {
        let path = head.uri.path();
        let text = format!("Unexpected path: {path}?{query}. Should be {path}");
        return Ok(with_type(StatusCode::BAD_REQUEST, plain, text.into()));
    }
    let serving = Arc::clone(&lane.serving);
    let job = move || Ok(report(&serving.table, &serving.status, env!("CARGO_PKG_VERSION")));
    Ok(with_type(StatusCode::OK, plain, heavy::work(lane, &WRITE, 0, None, job).await?.into()))
}
