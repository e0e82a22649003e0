// SPDX-License-Identifier: Apache-2.0
//! The standard health service. What it says comes from the models' states; see [`StatusBoard::health`].
//!
//! [`StatusBoard::health`]: tensorserve_servables::StatusBoard::health

use bytes::Bytes;
use http::request::Parts;
use prost::Message;
use tensorserve_protos::grpc::health::v1::health_check_response::ServingStatus;
use tensorserve_protos::grpc::health::v1::{HealthCheckRequest, HealthCheckResponse, HealthListResponse};
use tensorserve_servables::{Health, Phase, Result, ServingError};

use super::message::{Messages, Pieces, framed, joined};
use super::replies::Replies;
use crate::serving::Serving;
use crate::serving::stopping;

/// Check: the status of one service. NOT_FOUND for one that is not known.
pub(super) fn check(pieces: &Pieces, serving: &Serving) -> Result<Bytes> {
    let service = service(pieces)?;
    match serving.status.health(&service) {
        Some(health) => framed(&response(status(health)), max_bytes(serving)),
        None => Err(ServingError::not_found(format!("unknown service: {service}"))),
    }
}

/// List: the status of every service.
pub(super) fn list(serving: &Serving) -> Result<Bytes> {
    let statuses = serving.status.all_health();
    let statuses = statuses.into_iter().map(|(name, health)| (name, response(status(health)))).collect();
    framed(&HealthListResponse { statuses }, max_bytes(serving))
}

fn max_bytes(serving: &Serving) -> usize {
    serving.options.max_message_bytes()
}

/// Watch: the status of one service, now and whenever it changes; unknown services may come to be.
pub(super) async fn watch(
    head: &Parts,
    mut requests: Messages,
    replies: &mut Replies,
    serving: &Serving,
) -> Result<()> {
    let request = requests.next(head).await?;
    let service = service(&request.ok_or_else(|| ServingError::internal("the request message is missing"))?)?;
    let mut changes = serving.status.changes();
    let mut told = None;
    loop {
        let draining = *changes.borrow_and_update() == Phase::Draining;
        let now = serving.status.health(&service).map_or(ServingStatus::ServiceUnknown, status);
        if told != Some(now) {
            replies.send(framed(&response(now), max_bytes(serving))?).await?;
            told = Some(now);
        }
        if draining {
            return Err(stopping());
        }
        tokio::select! {
            // An error means that the server is gone.
            changed = changes.changed() => changed.map_err(|_| stopping())?,
            () = replies.cancelled() => return Ok(()),
        }
    }
}

fn service(pieces: &Pieces) -> Result<String> {
    let request = HealthCheckRequest::decode(joined(pieces)).map_err(|error| {
        ServingError::internal(format!("the request is not a grpc.health.v1.HealthCheckRequest: {error}"))
    })?;
    Ok(request.service)
}

fn status(health: Health) -> ServingStatus {
    match health {
        Health::Serving => ServingStatus::Serving,
        Health::NotServing => ServingStatus::NotServing,
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
