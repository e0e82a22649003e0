// SPDX-License-Identifier: Apache-2.0
//! What the system says of the server's processes: this one and, if it has one, its supervisor.

use std::fs;

use crate::metrics::exposition::{Metric, Page};

const CPU: Metric =
    Metric::counter("process_cpu_seconds_total", "Processor time of the server, its supervisor included, in seconds.");
const RESIDENT: Metric =
    Metric::gauge("process_resident_memory_bytes", "Memory that the server has, its supervisor included, in bytes.");
const VIRTUAL: Metric =
    Metric::gauge("process_virtual_memory_bytes", "Address space of the serving process, in bytes.");
const OPEN: Metric = Metric::gauge("process_open_fds", "File descriptors that the serving process has open.");
const MOST: Metric = Metric::gauge("process_max_fds", "File descriptors that the serving process may have open.");
const THREADS: Metric = Metric::gauge("process_threads", "Threads of the serving process.");

/// Numbers of `auxiliary`: bytes of a page, and clock ticks of a second.
const PAGE_BYTES: u64 = 6;
const CLOCK_TICKS: u64 = 17;

/// What one process takes.
#[derive(Debug, Default, PartialEq)]
struct Usage {
    cpu_ticks: u64,
    threads: u64,
    virtual_bytes: u64,
    resident_pages: u64,
    parent: u64,
}

/// Writes what is known; nothing where there is no `/proc`.
pub(crate) fn write(page: &mut Page, is_supervised: bool) {
    let Some(own) = usage("self") else { return };
    let supervisor = if is_supervised { usage(&own.parent.to_string()) } else { None }.unwrap_or_default();
    let page_bytes = auxiliary(PAGE_BYTES).unwrap_or(4096);
    let ticks = auxiliary(CLOCK_TICKS).unwrap_or(100);
    page.family(CPU).fraction(&[], (own.cpu_ticks + supervisor.cpu_ticks) as f64 / ticks as f64);
    page.family(RESIDENT).whole(&[], (own.resident_pages + supervisor.resident_pages) * page_bytes);
    page.family(VIRTUAL).whole(&[], own.virtual_bytes);
    page.family(THREADS).whole(&[], own.threads);
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        page.family(OPEN).whole(&[], open.count() as u64);
    }
    if let Some(most) = most_descriptors() {
        page.family(MOST).whole(&[], most);
    }
}

fn usage(process: &str) -> Option<Usage> {
    parse(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// Reads `/proc/PID/stat`, whose second field is a name in brackets that may hold anything.
fn parse(stat: &str) -> Option<Usage> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let number = |field: usize| fields.get(field)?.trim().parse::<u64>().ok();
    Some(Usage {
        parent: number(1)?,
        cpu_ticks: number(11)? + number(12)?,
        threads: number(17)?,
        virtual_bytes: number(20)?,
        resident_pages: number(21)?,
    })
}

/// What the system told this process at its start, by number; see `getauxval`.
fn auxiliary(number: u64) -> Option<u64> {
    let vector = fs::read("/proc/self/auxv").ok()?;
    let mut words = vector.chunks_exact(8).filter_map(|word| word.try_into().ok().map(u64::from_ne_bytes));
    while let (Some(key), Some(value)) = (words.next(), words.next()) {
        if key == number {
            return Some(value);
        }
    }
    None
}

fn most_descriptors() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::exposition::Format;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a) b) S 3 7 7 0 -1 4194304 1 0 0 0 11 22 0 0 20 0 5 0 100 4096 9 1844 1";
        let expected = Usage { cpu_ticks: 33, threads: 5, virtual_bytes: 4096, resident_pages: 9, parent: 3 };
        assert_eq!(parse(stat), Some(expected));
        assert_eq!(parse("7 (a"), None);
    }

    #[test]
    fn this_process_takes_memory_and_has_descriptors() {
        let mut page = Page::default();
        write(&mut page, false);
        let text = page.into_text(Format::Prometheus);
        if cfg!(target_os = "linux") {
            for name in ["process_resident_memory_bytes ", "process_open_fds ", "process_max_fds ", "process_threads "]
            {
                let line = text.lines().find(|line| line.starts_with(name)).unwrap();
                assert!(line[name.len()..].parse::<u64>().unwrap() > 0, "{line}");
            }
            assert!(text.contains("\nprocess_cpu_seconds_total "), "{text}");
        }
    }
}
