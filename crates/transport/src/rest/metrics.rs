// SPDX-License-Identifier: Apache-2.0
//! The pages that Prometheus reads, for any HTTP method, as in the original: ours, and the original's metrics.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::StatusCode;
use http::header::{ACCEPT, HeaderMap, HeaderValue};
use http::request::Parts;
use tensorserve_servables::Result;
use tensorserve_servables::metrics::exposition::{Format, Page};
use tensorserve_servables::metrics::page::page;
use tensorserve_servables::metrics::report::report;

use super::compress;
use super::reply::{Reply, with_type};
use crate::lane::Lane;
use crate::serving::Serving;

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain");
const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

#[derive(Clone, Copy)]
pub(super) enum Asked {
    Own,
    Original,
}

/// The page that a request is for, if it is for one.
pub(super) fn asked(head: &Parts, lane: &Lane) -> Option<Asked> {
    let (paths, path) = (&lane.serving.options.metrics, Some(head.uri.path()));
    if paths.own.as_deref() == path {
        return Some(Asked::Own);
    }
    (paths.original.as_deref() == path).then_some(Asked::Original)
}

/// The page, compressed if its reader likes that. A query is refused.
pub(super) async fn reply(asked: Asked, head: &Parts, lane: &Lane) -> Result<Reply> {
    if let Some(query) = head.uri.query() {
        let path = head.uri.path();
        let text = format!("Unexpected path: {path}?{query}. Should be {path}");
        return Ok(with_type(StatusCode::BAD_REQUEST, PLAIN, text.into()));
    }
    let accepted = lane.serving.options.rest_api_compression.then(|| compress::accepted(&head.headers)).flatten();
    let format = format(&head.headers);
    let serving = Arc::clone(&lane.serving);
    let write = move || {
        let (kind, text) = match (asked, format) {
            (Asked::Original, _) => (PLAIN, report(&serving.table)),
            (Asked::Own, Format::Prometheus) => (PROMETHEUS, own(&serving).into_text(format)),
            (Asked::Own, Format::OpenMetrics) => (OPEN_METRICS, own(&serving).into_text(format)),
        };
        Ok(compress::page(kind, text.into(), accepted))
    };
    lane.serving.clerk.ask(write).await
}

/// Prometheus asks for OpenMetrics first, if it knows that.
fn format(headers: &HeaderMap) -> Format {
    let wants_open =
        |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains("application/openmetrics-text"));
    if headers.get_all(ACCEPT).iter().any(wants_open) { Format::OpenMetrics } else { Format::Prometheus }
}

/// What the models do, and what clients take of this server.
fn own(serving: &Serving) -> Page {
    let mut page = page(&serving.table, &serving.status, env!("CARGO_PKG_VERSION"));
    let (failures, cut) = (&serving.accept_failures, &serving.connections_cut);
    let help = "Connections that could not be accepted, as when file descriptors run out.";
    page.add_counter("tensorserve_client_accept_failures_total", help, failures.load(Ordering::Relaxed));
    let help = "Connections that ended because their clients were silent or slow.";
    page.add_counter("tensorserve_client_connections_cut_total", help, cut.load(Ordering::Relaxed));
    let help = "What counts against --max_buffered_bytes now.";
    page.add_gauge("tensorserve_client_buffered_bytes", help, serving.memory.used() as u64);
    page
}
