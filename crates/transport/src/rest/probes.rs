// SPDX-License-Identifier: Apache-2.0
//! `/livez`, `/readyz` and `/v1/models/NAME/ready`: what an orchestrator asks. Answered from the board of states, without
//! the interpreter, and for everyone: a probe has no token.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use http::header::HeaderValue;
use http::request::Parts;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tensorserve_servables::table::readiness::{ModelReadiness, VersionProgress};
use tensorserve_servables::{Phase, Readiness, ReadinessReport};
use tokio::time::{Duration, timeout};

use super::reply::{Reply, not_found, with_type};
use crate::lane::Lane;
use crate::listener::Connection;
use crate::serving::Serving;
use crate::shutdown::ShutdownWatch;

/// A client of the health port that keeps its connection longer than this is cut off; a probe makes a new one.
const LONGEST_PROBE: Duration = Duration::from_secs(30);

/// Serves one client of the health port.
pub(crate) async fn serve(stream: impl Connection, lane: &Arc<Lane>, mut stop: ShutdownWatch) {
    let lane = Arc::clone(lane);
    let service = service_fn(move |request: Request<Incoming>| {
        let head = request.into_parts().0;
        let reply = reply(&head, &lane.serving).unwrap_or_else(not_found);
        async move { Ok::<_, Infallible>(reply) }
    });
    let mut connection = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    let served = async {
        tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            () = stop.told() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    };
    let _ = timeout(LONGEST_PROBE, served).await;
}

/// The reply to `/livez` and `/readyz`; `None` for other paths.
pub(super) fn reply(head: &Parts, serving: &Serving) -> Option<Reply> {
    let is_readiness = match head.uri.path() {
        "/livez" => false,
        "/readyz" => true,
        _ => return None,
    };
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return Some(text(StatusCode::METHOD_NOT_ALLOWED, "A probe is a GET request.\n".to_owned()));
    }
    if !is_readiness {
        return Some(text(StatusCode::OK, "ok\n".to_owned()));
    }
    if wants_details(head) {
        let report = serving.status.readiness();
        return Some(json_reply(report.is_ready(), &report_json(&report)));
    }
    if serving.status.is_ready() {
        return Some(text(StatusCode::OK, "ok\n".to_owned()));
    }
    let reasons = serving.status.readiness().reasons;
    Some(text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", reasons.join("; "))))
}

/// The reply to `/v1/models/NAME/ready`.
pub(super) fn model(name: &str, serving: &Serving) -> Reply {
    let (status, body) = match serving.status.model_is_ready(name) {
        Some(ready) => (status_of(ready), json!({ "name": name, "ready": ready })),
        None => (StatusCode::NOT_FOUND, json!({ "error": format!("Could not find any versions of model {name}") })),
    };
    with_type(status, HeaderValue::from_static("application/json"), body.to_string().into())
}

/// `?verbose`, also with a value.
fn wants_details(head: &Parts) -> bool {
    let query = head.uri.query().unwrap_or_default();
    query.split('&').any(|part| part.split('=').next() == Some("verbose"))
}

fn report_json(report: &ReadinessReport) -> Value {
    json!({
        "ready": report.is_ready(),
        "phase": match report.phase {
            Phase::Starting => "starting",
            Phase::Serving => "serving",
            Phase::Leaving | Phase::Draining => "stopping",
        },
        "readiness": match report.mode {
            Readiness::Any => "any",
            Readiness::All => "all",
        },
        "reasons": report.reasons,
        "models": report.models.iter().map(model_json).collect::<Vec<_>>(),
    })
}

fn model_json(model: &ModelReadiness) -> Value {
    json!({
        "name": model.name,
        "ready": model.is_ready(),
        "versions": model.versions.iter().map(version_json).collect::<Vec<_>>(),
    })
}

fn version_json(version: &VersionProgress) -> Value {
    let status = &version.status;
    let mut value = json!({ "version": status.version, "state": format!("{:?}", status.state).to_uppercase() });
    if let Some(error) = &status.error {
        value["error"] = json!(error.to_string());
    }
    if let Some(load) = version.load {
        value["loading_seconds"] = json!((load.time.as_secs_f64() * 1e3).round() / 1e3);
        value["bytes"] = json!(load.bytes);
    }
    value
}

fn status_of(ready: bool) -> StatusCode {
    if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn json_reply(ready: bool, body: &Value) -> Reply {
    with_type(status_of(ready), HeaderValue::from_static("application/json"), format!("{body:#}\n").into())
}

fn text(status: StatusCode, body: String) -> Reply {
    with_type(status, HeaderValue::from_static("text/plain; charset=utf-8"), body.into())
}
