// SPDX-License-Identifier: Apache-2.0
//! `GET /v1/openapi.json`: the models that are served now, as an OpenAPI 3.1 document; `GET /v1/docs`: a page that lists
//! them.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use tensorserve_protos::tensorflow::SignatureDef;
use tensorserve_servables::table::servable_table::ServedModel;
use tensorserve_servables::{DEFAULT_SIGNATURE, Result, Servable, ServableHandle, ServableTable, ServingError};

use super::format::BodyFormat;
use super::openapi_examples::{self, VERBS};
use super::openapi_schema::{request, response};
use super::reply::{self, Reply};

const PAGE: &str = include_str!("docs.html");

/// What a URL's segment carries as it is; braces would be a template in the document.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

pub(super) fn reply(table: &ServableTable) -> Result<Reply> {
    let body = serde_json::to_vec(&document(&table.models()));
    body.map(reply::json).map_err(|error| ServingError::internal(format!("the document cannot be written: {error}")))
}

pub(super) fn page() -> Reply {
    reply::html(PAGE)
}

fn document(models: &[ServedModel]) -> Value {
    let mut paths = Map::new();
    let mut bodies = Map::new();
    let mut responses = openapi_examples::responses();
    responses.insert("Error".to_owned(), error_response());
    for (index, model) in models.iter().enumerate() {
        let mut keys = BTreeMap::new();
        for version in &model.versions {
            let key = component_key(index, version);
            let signatures = usable_signatures(version.servable());
            bodies.insert(key.clone(), request_body(&signatures));
            responses.insert(key.clone(), predict_response(&signatures));
            for verb in &VERBS {
                if let Some(body) = verb.request_body(&signatures) {
                    bodies.insert(format!("{key}.{}", verb.name), body);
                }
            }
            keys.insert(version.version(), key);
        }
        add_paths(&mut paths, model, &keys, &bodies);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "tensorserve",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The models that this server serves now, in TensorFlow Serving's REST API. Floats that are not \
                            finite are written NaN, Infinity and -Infinity, which JSON itself does not have.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "requestBodies": bodies,
            "responses": responses,
            "parameters": parameters(),
        },
    })
}

/// A name for what the document says of one version. Models may have names that are none here.
fn component_key(index: usize, version: &ServableHandle) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    let name: String = version.model().chars().map(plain).collect();
    format!("{name}.{index}.v{}", version.version())
}

/// The signatures that a Predict request over REST can use, by name.
fn usable_signatures(servable: &Servable) -> Vec<(&str, &SignatureDef)> {
    let defs = servable.signature_defs().iter().map(|(name, def)| (name.as_str(), def));
    defs.filter(|(name, def)| {
        !def.inputs.is_empty() && servable.signature(name).is_some_and(|signature| signature.is_usable())
    })
    .collect()
}

/// `bodies` says which verbs a version has.
fn add_paths(
    paths: &mut Map<String, Value>,
    model: &ServedModel,
    keys: &BTreeMap<i64, String>,
    bodies: &Map<String, Value>,
) {
    let name = utf8_percent_encode(&model.name, ESCAPED);
    let mut targets = Vec::new();
    if let Some(latest) = keys.values().next_back() {
        targets.push((format!("/v1/models/{name}"), format!("{}, latest version", model.name), latest));
    }
    for (version, key) in keys {
        targets.push((
            format!("/v1/models/{name}/versions/{version}"),
            format!("{}, version {version}", model.name),
            key,
        ));
    }
    for (label, version) in &model.labels {
        let Some(key) = keys.get(version) else { continue };
        let path = format!("/v1/models/{name}/labels/{}", utf8_percent_encode(label, ESCAPED));
        targets.push((path, format!("{}, label {label}", model.name), key));
    }
    for (path, shown, key) in targets {
        paths.insert(format!("{path}:predict"), json!({ "post": predict_operation(&path, &shown, &model.name, key) }));
        for verb in &VERBS {
            let key = format!("{key}.{}", verb.name);
            if bodies.contains_key(&key) {
                let operation = verb.operation(&path, &shown, &model.name, &key);
                paths.insert(format!("{path}:{}", verb.name), json!({ "post": operation }));
            }
        }
        let status = get_operation(&path, "status", format!("State of {shown}"), &model.name);
        let metadata = get_operation(&path, "metadata", format!("Signatures of {shown}"), &model.name);
        paths.insert(format!("{path}/metadata"), json!({ "get": metadata }));
        paths.insert(path, json!({ "get": status }));
    }
}

fn predict_operation(path: &str, shown: &str, model: &str, key: &str) -> Value {
    json!({
        "operationId": format!("predict {path}"),
        "summary": format!("Predict with {shown}"),
        "tags": [model],
        "parameters": [
            { "$ref": "#/components/parameters/Signature" },
            { "$ref": "#/components/parameters/OutputFilter" },
        ],
        "requestBody": { "$ref": format!("#/components/requestBodies/{key}") },
        "responses": {
            "200": { "$ref": format!("#/components/responses/{key}") },
            "default": { "$ref": "#/components/responses/Error" },
        },
    })
}

fn get_operation(path: &str, what: &str, summary: String, model: &str) -> Value {
    json!({
        "operationId": format!("{what} {path}"),
        "summary": summary,
        "tags": [model],
        "responses": {
            "200": { "description": summary, "content": { "application/json": { "schema": { "type": "object" } } } },
            "default": { "$ref": "#/components/responses/Error" },
        },
    })
}

fn request_body(signatures: &[(&str, &SignatureDef)]) -> Value {
    let json_forms = signatures.iter().filter_map(|(name, def)| request(name, def)).collect();
    json!({
        "required": true,
        "description": format!("The inputs of one of the signatures {}.", listed(signatures)),
        "content": content(json_forms, signatures.iter().any(|(_, def)| def.inputs.len() == 1)),
    })
}

fn predict_response(signatures: &[(&str, &SignatureDef)]) -> Value {
    let json_forms = signatures.iter().filter_map(|(name, def)| response(name, def)).collect();
    json!({
        "description": "The outputs, in the form that Accept prefers, else in that of the request.",
        "content": content(json_forms, signatures.iter().any(|(_, def)| !def.outputs.is_empty())),
    })
}

fn content(json_forms: Vec<Value>, npy: bool) -> Value {
    let binary =
        |description: &str| json!({ "schema": { "type": "string", "format": "binary", "description": description } });
    let mut content = Map::new();
    if !json_forms.is_empty() {
        content.insert(BodyFormat::Json.media_type().to_owned(), json!({ "schema": { "anyOf": json_forms } }));
    }
    let protobuf = binary("tensorflow.serving.PredictRequest, PredictResponse");
    content.insert(BodyFormat::Protobuf.media_type().to_owned(), protobuf);
    if npy {
        content.insert(BodyFormat::Npy.media_type().to_owned(), binary("one array, as numpy.save writes it"));
    }
    let npz = binary("an array for each tensor, as numpy.savez writes them");
    content.insert(BodyFormat::Npz.media_type().to_owned(), npz);
    Value::Object(content)
}

fn listed(signatures: &[(&str, &SignatureDef)]) -> String {
    signatures.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn schemas() -> Value {
    json!({
        "Error": {
            "type": "object",
            "required": ["error"],
            "properties": { "error": { "type": "string" } },
        },
        "Bytes": {
            "type": "object",
            "required": ["b64"],
            "properties": { "b64": { "type": "string", "contentEncoding": "base64" } },
            "additionalProperties": false,
        },
        "Features": openapi_examples::features_schema(),
    })
}

fn error_response() -> Value {
    json!({
        "description": "What failed, on what, and what to do.",
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
    })
}

fn parameters() -> Value {
    json!({
        "Signature": {
            "name": "x-tensorserve-signature",
            "in": "header",
            "required": false,
            "schema": { "type": "string" },
            "description": format!("The signature of an npy or npz request; {DEFAULT_SIGNATURE} without it."),
        },
        "OutputFilter": {
            "name": "x-tensorserve-output-filter",
            "in": "header",
            "required": false,
            "schema": { "type": "string" },
            "description": "The wanted outputs of an npy or npz request, separated by commas; all without it.",
        },
    })
}
