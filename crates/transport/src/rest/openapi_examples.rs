// SPDX-License-Identifier: Apache-2.0
//! The part of the OpenAPI document that describes `:classify` and `:regress`.

use serde_json::{Map, Value, json};
use tensorserve_protos::tensorflow::SignatureDef;
use tensorserve_servables::DEFAULT_SIGNATURE;
use tensorserve_servables::verbs::classify::Classifier;
use tensorserve_servables::verbs::head::Head;
use tensorserve_servables::verbs::regress::Regressor;

/// A verb that takes examples.
pub(super) struct ExampleVerb {
    /// As in the URL.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    method: &'static str,
    /// The schema of the result of one example.
    result: fn() -> Value,
}

pub(super) const VERBS: [ExampleVerb; 2] = [
    ExampleVerb { name: "classify", title: "Classify", method: Classifier::METHOD, result: classes },
    ExampleVerb { name: "regress", title: "Regress", method: Regressor::METHOD, result: number },
];

fn classes() -> Value {
    let class = json!({
        "type": "array",
        "prefixItems": [{ "type": "string", "title": "label" }, { "type": "number", "title": "score" }],
        "minItems": 2,
        "maxItems": 2,
    });
    json!({ "type": "array", "items": class })
}

fn number() -> Value {
    json!({ "type": "number" })
}

impl ExampleVerb {
    /// The body of a request; `None` if no signature has this verb's method.
    pub(super) fn request_body(&self, signatures: &[(&str, &SignatureDef)]) -> Option<Value> {
        let names: Vec<&str> =
            signatures.iter().filter(|(_, def)| def.method_name == self.method).map(|(name, _)| *name).collect();
        if names.is_empty() {
            return None;
        }
        let is_default = names.contains(&DEFAULT_SIGNATURE);
        let required = if is_default { json!(["examples"]) } else { json!(["signature_name", "examples"]) };
        let features = json!({ "$ref": "#/components/schemas/Features" });
        Some(json!({
            "required": true,
            "description": format!("Examples for one of the signatures {}.", names.join(", ")),
            "content": { "application/json": { "schema": {
                "type": "object",
                "required": required,
                "properties": {
                    "signature_name": { "enum": names },
                    "context": features,
                    "examples": { "type": "array", "minItems": 1, "items": features },
                },
            } } },
        }))
    }

    /// The body of an answer.
    pub(super) fn response(&self) -> Value {
        let results = json!({ "type": "array", "items": (self.result)() });
        json!({
            "description": "A result for each example, in their order.",
            "content": { "application/json": { "schema": {
                "type": "object",
                "required": ["results"],
                "properties": { "results": results },
            } } },
        })
    }

    /// `POST path:verb`, with the components of this key.
    pub(super) fn operation(&self, path: &str, shown: &str, model: &str, key: &str) -> Value {
        json!({
            "operationId": format!("{} {path}", self.name),
            "summary": format!("{} with {shown}", self.title),
            "tags": [model],
            "requestBody": { "$ref": format!("#/components/requestBodies/{key}") },
            "responses": {
                "200": { "$ref": format!("#/components/responses/{}", self.title) },
                "default": { "$ref": "#/components/responses/Error" },
            },
        })
    }
}

/// Features by name: a value, or a list of values of one kind.
pub(super) fn features_schema() -> Value {
    let bytes = json!({ "anyOf": [{ "type": "string" }, { "$ref": "#/components/schemas/Bytes" }] });
    let integer = json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX });
    let kinds = [json!({ "type": "number" }), integer, json!({ "type": "boolean" }), bytes];
    let lists = kinds.iter().map(|kind| json!({ "type": "array", "items": kind }));
    let any: Vec<Value> = lists.chain(kinds.iter().cloned()).collect();
    json!({
        "type": "object",
        "description": "A tf.Example. Numbers with a fraction or an exponent are floats, others and truth values are integers.",
        "additionalProperties": { "anyOf": any },
    })
}

/// The answers of all verbs, by their titles.
pub(super) fn responses() -> Map<String, Value> {
    VERBS.iter().map(|verb| (verb.title.to_owned(), verb.response())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_method(method: &str) -> SignatureDef {
        SignatureDef { method_name: method.to_owned(), ..SignatureDef::default() }
    }

    #[test]
    fn only_signatures_of_the_method_are_named() {
        let (classify, regress) = (with_method(Classifier::METHOD), with_method(Regressor::METHOD));
        let signatures = [("a", &classify), ("b", &regress), ("serving_default", &classify)];
        let body = VERBS[0].request_body(&signatures).unwrap();
        let schema = &body["content"]["application/json"]["schema"];
        assert_eq!(schema["properties"]["signature_name"], json!({ "enum": ["a", "serving_default"] }));
        assert_eq!(schema["required"], json!(["examples"]));
        let body = VERBS[1].request_body(&signatures).unwrap();
        assert_eq!(body["content"]["application/json"]["schema"]["required"], json!(["signature_name", "examples"]));
        assert_eq!(VERBS[1].request_body(&signatures[..1]), None);
    }
}
