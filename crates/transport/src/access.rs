// SPDX-License-Identifier: Apache-2.0
//! What is told of single requests: their ids and times to clients that ask, and lines of the access log.

use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use tensorserve_log::{Level, Line};
use tensorserve_servables::Code;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Asks for `server-timing`.
const WANTS_TIMING: HeaderName = HeaderName::from_static("x-tensorserve-timing");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Characters of an id that is taken.
const MAX_ID: usize = 128;

/// Which requests get a line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum AccessLog {
    #[default]
    Off,
    All,
    Errors,
    /// Those that take longer.
    Slow(Duration),
    /// One of this number.
    Sample(u64),
}

impl AccessLog {
    /// `off`, `all`, `errors`, `slow` with microseconds, or `sample` with the N of one in N.
    pub fn of(kind: &str, number: u64) -> Option<Self> {
        match kind {
            "off" => Some(AccessLog::Off),
            "all" => Some(AccessLog::All),
            "errors" => Some(AccessLog::Errors),
            "slow" => Some(AccessLog::Slow(Duration::from_micros(number))),
            "sample" if number > 0 => Some(AccessLog::Sample(number)),
            _ => None,
        }
    }

    pub(crate) fn is_off(self) -> bool {
        self == AccessLog::Off
    }

    fn wants(self, code: Code, took: Duration) -> bool {
        static SEEN: AtomicU64 = AtomicU64::new(0);
        match self {
            AccessLog::Off => false,
            AccessLog::All => true,
            AccessLog::Errors => code != Code::Ok,
            AccessLog::Slow(limit) => took > limit,
            AccessLog::Sample(number) => SEEN.fetch_add(1, Ordering::Relaxed).is_multiple_of(number),
        }
    }
}

/// How long a request took, and its phases, as far as it got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timing {
    pub(crate) total: Duration,
    pub(crate) phases: Option<[(&'static str, Duration); 3]>,
}

/// The version that a request was for.
pub(crate) type Answered = Option<(String, Option<i64>)>;

/// What a client wants to be told of its request.
#[derive(Debug)]
pub(crate) struct Wanted {
    id: Option<HeaderValue>,
    timing: bool,
}

impl Wanted {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Wanted {
            id: headers.get(REQUEST_ID).filter(|id| is_id(id.as_bytes())).cloned(),
            timing: headers.get(WANTS_TIMING).is_some_and(|value| value != "0"),
        }
    }

    /// The headers of the reply. A request that fails gets an id, and each one while there is an access log.
    pub(crate) fn headers(mut self, log: AccessLog, code: Code, timing: &Timing) -> ReplyHeaders {
        if self.id.is_none() && (code != Code::Ok || !log.is_off()) {
            self.id = Some(new_id());
        }
        let timing = if self.timing { HeaderValue::try_from(server_timing(timing)).ok() } else { None };
        ReplyHeaders { id: self.id, timing }
    }
}

/// Headers that tell of a request.
#[derive(Debug, Default)]
pub(crate) struct ReplyHeaders {
    id: Option<HeaderValue>,
    timing: Option<HeaderValue>,
}

impl ReplyHeaders {
    pub(crate) fn insert_into(self, headers: &mut HeaderMap) {
        if let Some(id) = self.id {
            headers.insert(REQUEST_ID, id);
        }
        if let Some(timing) = self.timing {
            headers.insert(SERVER_TIMING, timing);
        }
    }
}

/// Writes the line of a request, if it gets one.
pub(crate) fn note(
    log: AccessLog,
    head: &Parts,
    (code, timing): (Code, &Timing),
    headers: &ReplyHeaders,
    answered: Answered,
) {
    if log.wants(code, timing.total) {
        line(head, (code, timing), headers, answered).say();
    }
}

#[cold]
fn line(head: &Parts, (code, timing): (Code, &Timing), headers: &ReplyHeaders, answered: Answered) -> Line {
    let path = head.uri.path();
    let mut text = format!("{} {path} {} {:.3} ms", head.method, code.name(), millis(timing.total));
    let mut line = Line::new(Level::Info, String::new())
        .with("logger", "access")
        .with("method", &head.method)
        .with("path", path)
        .with("status", code.name())
        .with("duration_ms", millis(timing.total));
    // Writing to a string cannot fail.
    for ((phase, time), field) in timing.phases.iter().flatten().zip(["receive_ms", "compute_ms", "reply_ms"]) {
        let _ = write!(text, " {phase}={:.3}", millis(*time));
        line = line.with(field, millis(*time));
    }
    if let Some((model, version)) = answered {
        let _ = write!(text, " model={model}");
        line = line.with("model", model);
        if let Some(version) = version {
            let _ = write!(text, " version={version}");
            line = line.with("version", version);
        }
    }
    if let Some(id) = headers.id.as_ref().and_then(|id| id.to_str().ok()) {
        let _ = write!(text, " request_id={id}");
        line = line.with("request_id", id);
    }
    Line { text, ..line }
}

/// The value of `server-timing`; durations are milliseconds there.
fn server_timing(timing: &Timing) -> String {
    let mut text = String::new();
    for (phase, time) in timing.phases.iter().flatten() {
        let _ = write!(text, "{phase};dur={:.3}, ", millis(*time));
    }
    let _ = write!(text, "total;dur={:.3}", millis(timing.total));
    text
}

/// With the digits of microseconds.
fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

fn is_id(bytes: &[u8]) -> bool {
    (1..=MAX_ID).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

/// 32 hexadecimal digits that nobody can guess from those before.
fn new_id() -> HeaderValue {
    static KEYS: OnceLock<[RandomState; 2]> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let [high, low] = KEYS.get_or_init(Default::default).each_ref().map(|keys| {
        let mut hasher = keys.build_hasher();
        hasher.write_u64(number);
        hasher.finish()
    });
    HeaderValue::try_from(format!("{high:016x}{low:016x}")).unwrap_or(HeaderValue::from_static("0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(headers: &[(&'static str, &str)]) -> Wanted {
        let pairs = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        Wanted::of(&pairs.collect())
    }

    fn told(wanted: Wanted, log: AccessLog, code: Code) -> HeaderMap {
        let phase = Duration::from_micros(1500);
        let timing =
            Timing { total: 2 * phase, phases: Some([("receive", phase), ("compute", phase), ("reply", phase)]) };
        let mut headers = HeaderMap::new();
        wanted.headers(log, code, &timing).insert_into(&mut headers);
        headers
    }

    #[test]
    fn which_requests_get_a_line() {
        let (short, long) = (Duration::from_millis(1), Duration::from_millis(3));
        assert!(!AccessLog::Off.wants(Code::Internal, long));
        assert!(AccessLog::All.wants(Code::Ok, short));
        assert!(AccessLog::Errors.wants(Code::NotFound, short) && !AccessLog::Errors.wants(Code::Ok, long));
        let slow = AccessLog::Slow(Duration::from_millis(2));
        assert!(slow.wants(Code::Ok, long) && !slow.wants(Code::Ok, short));
        let sampled = (0..1000).filter(|_| AccessLog::Sample(10).wants(Code::Ok, short)).count();
        assert_eq!(sampled, 100);
    }

    #[test]
    fn an_id_is_given_back_or_made_where_somebody_needs_it() {
        let given = told(wanted(&[("x-request-id", "abc-1")]), AccessLog::Off, Code::Ok);
        assert_eq!(given["x-request-id"], "abc-1");
        assert!(told(wanted(&[]), AccessLog::Off, Code::Ok).is_empty());
        let made = [(AccessLog::Off, Code::NotFound), (AccessLog::All, Code::Ok)]
            .map(|(log, code)| told(wanted(&[]), log, code)["x-request-id"].clone());
        assert!(made[0] != made[1] && made.iter().all(|id| id.len() == 32));
        for bad in ["", "a b", &"x".repeat(MAX_ID + 1)] {
            let id = &told(wanted(&[("x-request-id", bad)]), AccessLog::All, Code::Ok)["x-request-id"];
            assert!(id.len() == 32 && *id != *bad);
        }
    }

    #[test]
    fn times_are_told_to_those_who_ask() {
        let headers = told(wanted(&[("x-tensorserve-timing", "1")]), AccessLog::Off, Code::Ok);
        assert_eq!(headers["server-timing"], "receive;dur=1.500, compute;dur=1.500, reply;dur=1.500, total;dur=3.000");
        assert!(told(wanted(&[("x-tensorserve-timing", "0")]), AccessLog::Off, Code::Ok).is_empty());
    }

    #[test]
    fn a_line_says_what_happened() {
        let (head, ()) = http::Request::post("/v1/models/m:predict?token=x").body(()).unwrap().into_parts();
        let headers = wanted(&[("x-request-id", "i")]).headers(AccessLog::All, Code::Ok, &Timing::default());
        let timing = Timing { total: Duration::from_micros(3210), phases: None };
        let line = line(&head, (Code::NotFound, &timing), &headers, Some(("m".to_owned(), Some(3))));
        assert_eq!(line.text, "POST /v1/models/m:predict NOT_FOUND 3.210 ms model=m version=3 request_id=i");
        assert!(line.fields.contains(&("duration_ms", "3.21".to_owned())));
    }
}
