// SPDX-License-Identifier: Apache-2.0
//! The page that Prometheus reads, for any HTTP method, as in the original.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::StatusCode;
use http::header::HeaderValue;
use http::request::Parts;
use tensorserve_servables::Result;
use tensorserve_servables::metrics::report::report;

use super::compress;
use super::reply::{Reply, with_type};
use crate::lane::Lane;
use crate::serving::Serving;

/// Whether the request is for the page.
pub(super) fn is_asked_for(head: &Parts, lane: &Lane) -> bool {
    lane.serving.options.metrics_path.as_deref() == Some(head.uri.path())
}

/// The page, compressed if its reader likes that. A query is refused.
pub(super) async fn reply(head: &Parts, lane: &Lane) -> Result<Reply> {
    let plain = HeaderValue::from_static("text/plain");
    if let Some(query) = head.uri.query() {
        let path = head.uri.path();
        let text = format!("Unexpected path: {path}?{query}. Should be {path}");
        return Ok(with_type(StatusCode::BAD_REQUEST, plain, text.into()));
    }
    let accepted = lane.serving.options.rest_api_compression.then(|| compress::accepted(&head.headers)).flatten();
    let serving = Arc::clone(&lane.serving);
    let write = move || {
        let mut text = report(&serving.table, &serving.status, env!("CARGO_PKG_VERSION"));
        of_clients(&mut text, &serving);
        Ok(compress::page(plain, text.into(), accepted))
    };
    lane.serving.clerk.ask(write).await
}

/// What clients take of this server, behind what the models do.
fn of_clients(text: &mut String, serving: &Serving) {
    let mut line = |name: &str, kind: &str, value: u64| {
        // Writing to a string cannot fail.
        let _ = write!(text, "# TYPE tensorserve_{name} {kind}\ntensorserve_{name}{{}} {value}\n");
    };
    line("client_accept_failures_total", "counter", serving.accept_failures.load(Ordering::Relaxed));
    line("client_buffered_bytes", "gauge", serving.memory.used() as u64);
    line("client_connections_cut_total", "counter", serving.connections_cut.load(Ordering::Relaxed));
}
