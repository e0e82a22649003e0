// SPDX-License-Identifier: Apache-2.0
//! The URL grammar, against the original's regular expressions. The first byte chooses the method.

#![no_main]

use std::sync::LazyLock;

use http::Method;
use libfuzzer_sys::fuzz_target;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use regex::{Captures, Regex};
use tensorserve_fuzz::memory::within;
use tensorserve_servables::{Code, ModelSpec, VersionChoice};
use tensorserve_transport::rest::routes::{Route, route};

static POST: LazyLock<Regex> = LazyLock::new(|| {
    anchored(r"/v1/models/([^/:]+)(?:/versions/([0-9]+)|/labels/([^/:]+))?:(classify|regress|predict)")
});
static GET: LazyLock<Regex> =
    LazyLock::new(|| anchored(r"/v1/models(?:/([^/:]+))?(?:/versions/([0-9]+)|/labels/([^/:]+))?(?:/(metadata))?"));

static READY: LazyLock<Regex> =
    LazyLock::new(|| anchored("/v1/models/([^/:]+)(?-i:/ready)"));

fn anchored(grammar: &str) -> Regex {
    Regex::new(&format!("(?is-u:^{grammar}$)").replace("-u", "")).expect("the grammar is a regular expression")
}

fuzz_target!(|data: &[u8]| {
    let [method, path @ ..] = data else { return };
    let Ok(path) = std::str::from_utf8(path) else { return };
    let method = &[Method::GET, Method::POST, Method::HEAD, Method::OPTIONS][usize::from(method % 4)];
    let found = within(8 * path.len() + 4096, || route(method, path));
    let found = match found {
        Ok(found) => Some(found),
        Err(error) => {
            assert_eq!(error.code, Code::InvalidArgument);
            let nameless = GET.captures(path).is_some_and(|found| found.get(1).is_none() && version_fits(&found));
            assert_eq!(error.message.starts_with("Missing model name"), nameless && *method == Method::GET, "{path}");
            None
        }
    };
    let expected = reference(method, path);
    assert_eq!(found, expected, "{method} {path}");
    if let Some(Route::Status(spec) | Route::Metadata(spec)) = expected {
        round_trip(&spec);
    }
});

/// `None` for what is malformed.
fn reference<'a>(method: &Method, path: &'a str) -> Option<Route<'a>> {
    if !path.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("/v1/")) {
        return Some(Route::NotFound);
    }
    // Ours, beside the original's.
    if path[4..].get(..5).is_some_and(|head| head.eq_ignore_ascii_case("admin"))
        && (path.len() == 9 || path[9..].starts_with(['/', '?']))
    {
        return Some(if *method == Method::OPTIONS { Route::Options } else { Route::Admin });
    }
    match (method, &path[4..]) {
        (&Method::OPTIONS, _) => return Some(Route::Options),
        (&Method::GET, "openapi.json") => return Some(Route::OpenApi),
        (&Method::GET, "docs") => return Some(Route::Docs),
        _ => {}
    }
    if *method == Method::GET
        && let Some(found) = READY.captures(path)
    {
        let name = percent_decode_str(found.get(1)?.as_str()).decode_utf8_lossy();
        return Some(Route::Ready(ModelSpec { name, ..ModelSpec::default() }));
    }
    match *method {
        Method::GET => {
            let found = GET.captures(path)?;
            let spec = spec(&found)?;
            Some(if found.get(4).is_some_and(|m| m.as_str() == "metadata") {
                Route::Metadata(spec)
            } else {
                Route::Status(spec)
            })
        }
        Method::POST => {
            let found = POST.captures(path)?;
            let spec = spec(&found)?;
            match &found[4] {
                "predict" => Some(Route::Predict(spec)),
                "classify" => Some(Route::Classify(spec)),
                "regress" => Some(Route::Regress(spec)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// `None` without a name, or with a version beyond 64 bits.
fn spec<'a>(found: &Captures<'a>) -> Option<ModelSpec<'a>> {
    let decoded = |text: &'a str| percent_decode_str(text).decode_utf8_lossy();
    let version = match (found.get(2), found.get(3)) {
        (Some(digits), _) => VersionChoice::Specific(digits.as_str().parse().ok()?),
        (_, Some(label)) => VersionChoice::Label(decoded(label.as_str())),
        _ => VersionChoice::Latest,
    };
    Some(ModelSpec { name: decoded(found.get(1)?.as_str()), version, ..ModelSpec::default() })
}

/// Whether the version, if there is one, fits 64 bits.
fn version_fits(found: &Captures<'_>) -> bool {
    found.get(2).is_none_or(|digits| digits.as_str().parse::<i64>().is_ok())
}

/// What is written as a URL is read as the same.
fn round_trip(spec: &ModelSpec<'_>) {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let version = match &spec.version {
        VersionChoice::Latest => String::new(),
        VersionChoice::Specific(version) => format!("/versions/{version}"),
        VersionChoice::Label(label) => format!("/labels/{}", encoded(label)),
    };
    let path = format!("/v1/models/{}{version}:predict", encoded(&spec.name));
    assert_eq!(route(&Method::POST, &path), Ok(Route::Predict(spec.clone())), "{path}");
}
