// SPDX-License-Identifier: Apache-2.0
//! Panics go to the log, as all lines do. Whoever catches one answers its request.

use std::panic::{self, PanicHookInfo};
use std::sync::Once;
use std::thread;
use std::time::Duration;

use tensorserve_log::{Level, Limit, Line};

static LINES: Limit = Limit::every(Duration::from_secs(1));
static INSTALLED: Once = Once::new();

/// From now on panics of this process are logged, instead of being printed as text of another layout.
pub(crate) fn log_panics() {
    INSTALLED.call_once(|| panic::set_hook(Box::new(|panic| LINES.say(|| line(panic)))));
}

fn line(panic: &PanicHookInfo<'_>) -> Line {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let payload = panic.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("a panic without a text");
    let current = thread::current();
    let thread = current.name().unwrap_or("without a name");
    Line::new(Level::Error, format!("Thread {thread} panicked at {place}: {text}"))
        .with("thread", thread)
        .with("place", place)
}
