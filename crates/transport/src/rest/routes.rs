// SPDX-License-Identifier: Apache-2.0
//! The URL grammar. Paths match without regard to case, with the query string as part of the path; verbs and
//! `/metadata` mean something in lower case only. All of that is the original's behaviour.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;
use tensorserve_servables::{ModelSpec, Result, ServingError, VersionChoice};

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    Predict(ModelSpec<'a>),
    Classify(ModelSpec<'a>),
    Regress(ModelSpec<'a>),
    Status(ModelSpec<'a>),
    Metadata(ModelSpec<'a>),
    /// Whether a model answers; ours.
    Ready(ModelSpec<'a>),
    /// The control plane's business.
    Admin,
    /// The description of the API, for programs and for people.
    OpenApi,
    Docs,
    /// CORS preflight.
    Options,
    /// Outside of the API.
    NotFound,
}

/// The route of a request. INVALID_ARGUMENT for paths below `/v1/` that are none.
pub fn route<'a>(method: &Method, path_and_query: &'a str) -> Result<Route<'a>> {
    let Some(path) = strip_prefix_ignoring_case(path_and_query, "/v1/") else { return Ok(Route::NotFound) };
    if let Some(rest) = strip_prefix_ignoring_case(path, "admin")
        && (rest.is_empty() || rest.starts_with(['/', '?']))
    {
        return Ok(if *method == Method::OPTIONS { Route::Options } else { Route::Admin });
    }
    let malformed = || ServingError::invalid_argument(format!("Malformed request: {method} {path_and_query}"));
    let route = match *method {
        Method::OPTIONS => return Ok(Route::Options),
        Method::POST => post_route(path)?,
        Method::GET => get_route(path)?,
        _ => None,
    };
    route.ok_or_else(malformed)
}

/// `models/NAME[/versions/N|/labels/L]:VERB`
fn post_route(path: &str) -> Result<Option<Route<'_>>> {
    let Some((target, verb)) = path.rsplit_once(':') else { return Ok(None) };
    let Some(rest) = strip_prefix_ignoring_case(target, "models/") else { return Ok(None) };
    let Some((spec, "")) = model_spec(rest) else { return Ok(None) };
    let verb = match verb {
        "predict" => Route::Predict,
        "classify" => Route::Classify,
        "regress" => Route::Regress,
        _ => return Ok(None),
    };
    Ok(Some(verb(spec?)))
}

/// `models/NAME[/versions/N|/labels/L][/metadata]`, and two paths that are malformed in the original.
fn get_route(path: &str) -> Result<Option<Route<'_>>> {
    match path {
        "openapi.json" => return Ok(Some(Route::OpenApi)),
        "docs" => return Ok(Some(Route::Docs)),
        _ => {}
    }
    match named_route(path)? {
        None if is_nameless(path)? => Err(ServingError::invalid_argument("Missing model name in request.")),
        route => Ok(route),
    }
}

/// `models/NAME[/versions/N|/labels/L][/metadata]`
fn named_route(path: &str) -> Result<Option<Route<'_>>> {
    let Some(rest) = strip_prefix_ignoring_case(path, "models/") else { return Ok(None) };
    let Some((spec, rest)) = model_spec(rest) else { return Ok(None) };
    match rest {
        "" => Ok(Some(Route::Status(spec?))),
        "/metadata" => Ok(Some(Route::Metadata(spec?))),
        "/ready" => {
            let spec = spec?;
            Ok((spec.version == VersionChoice::Latest).then_some(Route::Ready(spec)))
        }
        _ if rest.eq_ignore_ascii_case("/metadata") => Ok(Some(Route::Status(spec?))),
        _ => Ok(None),
    }
}

/// `NAME[/versions/N|/labels/L]` at the start of `path`, and what follows it. A version beyond 64 bits is an error of a path
/// that is well-formed to its end; others are malformed whatever their version is.
fn model_spec(path: &str) -> Option<(Result<ModelSpec<'_>>, &str)> {
    let (name, rest) = segment(path)?;
    let (version, rest) = version_choice(rest);
    Some((version.map(|version| ModelSpec { name: decoded(name), version, ..ModelSpec::default() }), rest))
}

/// `models[/versions/N|/labels/L][/metadata]`, where nothing can be taken for a name.
fn is_nameless(path: &str) -> Result<bool> {
    let Some(rest) = strip_prefix_ignoring_case(path, "models") else { return Ok(false) };
    let (version, rest) = version_choice(rest);
    if !rest.is_empty() && !rest.eq_ignore_ascii_case("/metadata") {
        return Ok(false);
    }
    version.map(|_| true)
}

/// `/versions/N` or `/labels/L` if one of them is next, and what follows.
fn version_choice(rest: &str) -> (Result<VersionChoice<'_>>, &str) {
    if let Some(versions) = strip_prefix_ignoring_case(rest, "/versions/")
        && let Some((digits, rest)) = segment(versions)
        && digits.bytes().all(|b| b.is_ascii_digit())
    {
        let too_large = |_| ServingError::invalid_argument(format!("Failed to convert version: {digits} to numeric."));
        return (digits.parse().map(VersionChoice::Specific).map_err(too_large), rest);
    }
    if let Some(labels) = strip_prefix_ignoring_case(rest, "/labels/")
        && let Some((label, rest)) = segment(labels)
    {
        return (Ok(VersionChoice::Label(decoded(label))), rest);
    }
    (Ok(VersionChoice::Latest), rest)
}

/// The characters up to the next `/` or `:`, at least one.
fn segment(path: &str) -> Option<(&str, &str)> {
    let (segment, rest) = path.split_at(path.find(['/', ':']).unwrap_or(path.len()));
    (!segment.is_empty()).then_some((segment, rest))
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, version: VersionChoice<'static>) -> ModelSpec<'static> {
        ModelSpec { name: name.to_owned().into(), version, ..ModelSpec::default() }
    }

    #[test]
    fn urls_of_the_api_are_understood() {
        use VersionChoice::*;
        let cases = [
            (Method::POST, "/v1/models/m:predict", Route::Predict(spec("m", Latest))),
            (Method::POST, "/V1/Models/m:predict", Route::Predict(spec("m", Latest))),
            (Method::POST, "/v1/models/m/versions/2:classify", Route::Classify(spec("m", Specific(2)))),
            (Method::POST, "/v1/models/m:regress", Route::Regress(spec("m", Latest))),
            (Method::POST, "/v1/models/m/versions/007:predict", Route::Predict(spec("m", Specific(7)))),
            (Method::POST, "/v1/models/m/labels/a%2Fb:predict", Route::Predict(spec("m", Label("a/b".into())))),
            (Method::POST, "/v1/models/a%3Ab+c:predict", Route::Predict(spec("a:b+c", Latest))),
            (Method::GET, "/v1/models/m", Route::Status(spec("m", Latest))),
            (Method::GET, "/v1/models/m?x=1", Route::Status(spec("m?x=1", Latest))),
            (Method::GET, "/v1/models/m/versions/3", Route::Status(spec("m", Specific(3)))),
            (Method::GET, "/v1/models/m/labels/l/metadata", Route::Metadata(spec("m", Label("l".into())))),
            (Method::GET, "/v1/models/m/metadata", Route::Metadata(spec("m", Latest))),
            (Method::GET, "/v1/models/m/METADATA", Route::Status(spec("m", Latest))),
            (Method::GET, "/v1/models/m/ready", Route::Ready(spec("m", Latest))),
            (Method::GET, "/v1/openapi.json", Route::OpenApi),
            (Method::GET, "/v1/docs", Route::Docs),
            (Method::OPTIONS, "/v1/anything", Route::Options),
            (Method::GET, "/v1/admin", Route::Admin),
            (Method::DELETE, "/v1/admin/models/m", Route::Admin),
            (Method::GET, "/v1/ADMIN/models?wait=true", Route::Admin),
            (Method::OPTIONS, "/v1/admin/models", Route::Options),
            (Method::GET, "/", Route::NotFound),
            (Method::GET, "/v1", Route::NotFound),
            (Method::GET, "/v2/models/m", Route::NotFound),
        ];
        for (method, path, expected) in cases {
            assert_eq!(route(&method, path), Ok(expected), "{method} {path}");
        }
    }

    #[test]
    fn other_paths_below_v1_are_malformed() {
        let cases = [
            (Method::GET, "/v1/"),
            (Method::GET, "/v1/administration"),
            (Method::POST, "/v1/models/m:predict?x=1"),
            (Method::POST, "/v1/models/m:PREDICT"),
            (Method::POST, "/v1/models/m:Classify"),
            (Method::GET, "/v1/models/m:regress"),
            (Method::POST, "/v1/models/m"),
            (Method::POST, "/v1/models/:predict"),
            (Method::POST, "/v1/models/m/:predict"),
            (Method::POST, "/v1/models/m/versions/x:predict"),
            (Method::POST, "/v1/models/m/versions/1/labels/x:predict"),
            (Method::POST, "/v1/models/m/metadata"),
            (Method::GET, "/v1/models/m:predict"),
            (Method::GET, "/v1/models/m/"),
            (Method::GET, "/v1/models/m/metadata?x"),
            (Method::GET, "/v1/models/m/versions/1/ready"),
            (Method::POST, "/v1/docs"),
            (Method::GET, "/v1/openapi"),
            (Method::PUT, "/v1/models/m"),
            (Method::HEAD, "/v1/models/m"),
        ];
        for (method, path) in cases {
            let error = ServingError::invalid_argument(format!("Malformed request: {method} {path}"));
            assert_eq!(route(&method, path), Err(error));
        }
    }

    #[test]
    fn a_version_beyond_64_bits_is_refused() {
        let error = route(&Method::GET, "/v1/models/m/versions/99999999999999999999").unwrap_err();
        assert_eq!(error.message, "Failed to convert version: 99999999999999999999 to numeric.");
    }

    #[test]
    fn a_path_with_a_fault_is_malformed_whatever_its_version_is() {
        for version in ["1", "99999999999999999999", "123456789012345678901234567890"] {
            for (method, tail) in [
                (Method::GET, ":predict"),
                (Method::GET, ":classify"),
                (Method::GET, "/"),
                (Method::GET, "/other"),
                (Method::GET, "/metadata:regress"),
                (Method::GET, "/labels/x"),
                (Method::POST, ":PREDICT"),
                (Method::POST, ":predict?x=1"),
                (Method::POST, "/x:predict"),
                (Method::POST, "/metadata"),
                (Method::PUT, ""),
            ] {
                let path = format!("/v1/models/m/versions/{version}{tail}");
                let error = route(&method, &path).unwrap_err();
                assert_eq!(error.message, format!("Malformed request: {method} {path}"));
            }
            let error = route(&Method::GET, &format!("/v1/models/versions/{version}:predict")).unwrap_err();
            assert!(error.message.starts_with("Malformed request: "), "{}", error.message);
        }
    }

    #[test]
    fn a_missing_name_is_said() {
        for path in
            ["/v1/models", "/v1/models/versions/3", "/v1/models/labels/l/metadata", "/v1/MODELS/versions/3/METADATA"]
        {
            let error = route(&Method::GET, path).unwrap_err();
            assert_eq!(error.message, "Missing model name in request.", "{path}");
        }
        let named = |name| Ok(Route::Status(spec(name, VersionChoice::Latest)));
        assert_eq!(route(&Method::GET, "/v1/models/metadata"), named("metadata"));
        assert_eq!(route(&Method::GET, "/v1/models/labels"), named("labels"));
    }
}
