// SPDX-License-Identifier: Apache-2.0
//! How many requests may be in flight, in all and for each model.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tensorserve_batching::Priority;

use crate::{Code, Result, ServingError};

/// Requests that may be in flight at once; `None` for no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct InFlightLimits {
    pub all: Option<usize>,
    pub per_model: Option<usize>,
}

/// Counts requests in flight. Without limits it counts nothing.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    limits: InFlightLimits,
    all: Arc<AtomicUsize>,
    models: RwLock<HashMap<Arc<str>, Arc<AtomicUsize>>>,
}

/// One request in flight, until it is dropped.
pub(crate) struct Admitted {
    _all: Option<Counted>,
    _model: Option<Counted>,
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    pub(crate) fn new(limits: InFlightLimits) -> Self {
        Admission { limits, ..Admission::default() }
    }

    /// Counts a request. UNAVAILABLE if there are as many as may be: it is a matter of load, as a full queue is. One of low
    /// priority finds a quarter of the places taken, so that many of these do not keep the others out.
    pub(crate) fn admit(&self, model: &Arc<str>, priority: Priority) -> Result<Option<Admitted>> {
        let InFlightLimits { all, per_model } = self.limits;
        if all.is_none() && per_model.is_none() {
            return Ok(None);
        }
        let in_all = all.map(|limit| count(&self.all, limit, priority, None)).transpose()?;
        let in_model = per_model.map(|limit| count(&self.model(model), limit, priority, Some(model))).transpose()?;
        Ok(Some(Admitted { _all: in_all, _model: in_model }))
    }

    fn model(&self, model: &Arc<str>) -> Arc<AtomicUsize> {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = models.get(model) {
            return Arc::clone(count);
        }
        drop(models);
        let mut models = self.models.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(models.entry(Arc::clone(model)).or_default())
    }
}

/// Counts one more of all requests, or of those for a `model`.
fn count(counter: &Arc<AtomicUsize>, limit: usize, priority: Priority, model: Option<&str>) -> Result<Counted> {
    let before = counter.fetch_add(1, Ordering::Relaxed);
    let counted = Counted(Arc::clone(counter));
    let limit = if priority == Priority::Low { limit - limit / 4 } else { limit };
    if before < limit { Ok(counted) } else { Err(refusal(before, priority, model)) }
}

#[cold]
fn refusal(before: usize, priority: Priority, model: Option<&str>) -> ServingError {
    let (place, flag) = match model {
        Some(model) => (format!(" for model {model}"), "--max_in_flight_per_model"),
        None => (String::new(), "--max_in_flight"),
    };
    let whom = if priority == Priority::Low { " at low priority" } else { "" };
    ServingError::new(
        Code::Unavailable,
        format!("{before} requests are in flight{place}, which is as many as {flag} allows{whom}; try again later"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_for_all_and_for_each_model() {
        let admission = Admission::new(InFlightLimits { all: Some(3), per_model: Some(2) });
        let (a, b): (Arc<str>, Arc<str>) = (Arc::from("a"), Arc::from("b"));
        let first = admission.admit(&a, Priority::Default).unwrap();
        let _second = admission.admit(&a, Priority::Default).unwrap();
        let error = admission.admit(&a, Priority::Default).map(|_| ()).unwrap_err();
        assert_eq!(error.code, Code::Unavailable);
        assert!(
            error.message.contains("2 requests are in flight for model a, which is as many as --max_in_flight_per")
        );
        let _third = admission.admit(&b, Priority::Default).unwrap();
        let error = admission.admit(&b, Priority::Default).map(|_| ()).unwrap_err();
        assert!(error.message.starts_with("3 requests are in flight, which is as many as --max_in_flight allows"));
        drop(first);
        assert!(admission.admit(&b, Priority::Default).is_ok());
    }

    #[test]
    fn a_quarter_of_the_places_is_not_for_low_priority() {
        let admission = Admission::new(InFlightLimits { all: Some(4), per_model: None });
        let model: Arc<str> = Arc::from("a");
        let _low: Vec<_> = (0..3).map(|_| admission.admit(&model, Priority::Low).unwrap()).collect();
        let error = admission.admit(&model, Priority::Low).map(|_| ()).unwrap_err();
        assert!(
            error.message.starts_with("3 requests are in flight, which is as many as --max_in_flight allows at low")
        );
        let _urgent = admission.admit(&model, Priority::High).unwrap();
        assert!(admission.admit(&model, Priority::Default).is_err());
        let admission = Admission::new(InFlightLimits { all: Some(1), per_model: None });
        assert!(admission.admit(&model, Priority::Low).is_ok());
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        assert!(Admission::default().admit(&Arc::from("a"), Priority::Default).unwrap().is_none());
    }
}
