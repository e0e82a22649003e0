// SPDX-License-Identifier: Apache-2.0
//! The TensorFlow runtime with a real TensorFlow and real models (exported by `tests/models/runtime_models.py`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy.toml knows only the tests of the standard harness"
)]

use std::process::ExitCode;

use libtest_mimic::Arguments;

#[path = "../fixture/mod.rs"]
mod fixture;

mod concurrency;
mod errors;
mod guard;
mod library;
mod loading;
mod strings;
mod values;

fn main() -> ExitCode {
    if let Some(path) = std::env::var_os("TENSORSERVE_TEST_OPEN") {
        library::print_refusal(path.as_ref());
        return ExitCode::SUCCESS;
    }
    let tests = fixture::trials! {
        library: opening_twice_gives_the_same_version a_missing_library_is_a_failed_precondition
            a_library_that_is_not_tensorflow_is_refused a_copy_elsewhere_is_refused
            an_op_library_makes_its_models_loadable a_missing_op_library_keeps_the_text_of_tensorflow;
        loading: signatures_come_from_the_meta_graph tags_choose_the_meta_graph unknown_tags_are_not_found
            a_missing_path_is_not_found a_damaged_model_is_refused missing_variable_files_are_not_found
            a_damaged_config_is_an_invalid_argument a_session_config_is_accepted a_zero_byte_in_a_path_is_refused
            assets_tables_and_main_op_are_initialized handles_are_stable_and_checked
            small_models_compute_where_they_are_asked_to_also_beside_each_other a_chosen_number_of_threads_stays;
        values: half_plus_two_computes every_element_type_passes_unchanged no_elements_pass scalars_pass
            a_signature_without_inputs_runs several_outputs_come_in_the_order_asked_for
            one_output_may_be_asked_for_twice unaligned_bytes_are_accepted feeds_are_not_copied
            reference_variables_are_values results_do_not_change_when_state_does results_outlive_the_session;
        strings: bytes_of_any_length_pass_unchanged string_ops_compute strings_outlive_their_request
            many_elements_of_several_dimensions_pass;
        errors: an_op_error_keeps_code_and_text a_wrong_element_type_keeps_code_and_text
            a_missing_feed_keeps_code_and_text nothing_to_fetch_is_an_invalid_argument foreign_handles_are_refused
            shapes_that_would_end_the_process_are_refused resources_are_not_values
            elements_that_do_not_fit_are_refused;
        guard: right_shapes_compute wrong_ranks_are_refused_wherever_the_kernel_stands
            sizes_that_come_from_a_request_are_checked graphs_of_tensorflow_1_are_guarded
            shapes_that_no_kernel_asks_for_are_answered;
        concurrency: runs_on_many_threads_do_not_mix names_may_be_resolved_while_running
            a_pool_run_ends_at_its_time_limit a_pool_run_within_its_time_limit_computes;
    };
    fixture::run_trials(&Arguments::from_args(), tests)
}
