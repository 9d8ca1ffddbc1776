//! Compiled models, shared within the process: threads that look with the same model have one plan, weights included, and
//! scratch memory of their own.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::infer::{Backend, InferError, ModelFile, Plan, PlanOptions};

/// What makes two plans the same.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// SHA-256 of the ONNX file.
    pub digest: String,
    /// The engine.
    pub backend: &'static str,
    /// Input shapes, threads, providers.
    pub options: PlanOptions,
}

/// Of one key: the plan, as long as somebody runs it.
type Place = Arc<Mutex<Option<Weak<dyn Plan>>>>;

/// Plans of this process; those that nobody runs any more leave it with the next one that comes.
static PLANS: Mutex<Vec<(Key, Place)>> = Mutex::new(Vec::new());

/// The plan of `model`: the one that another thread runs, or compiles at this moment, else a new one. Models that differ do
/// not wait for each other.
pub(super) fn plan(
    key: Key,
    backend: &dyn Backend,
    model: &ModelFile<'_>,
) -> Result<Arc<dyn Plan>, InferError> {
    let options = key.options.clone();
    let place = place(key);
    let mut plan = place.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = plan.as_ref().and_then(Weak::upgrade) {
        return Ok(known);
    }
    let made = backend.plan(model, &options)?;
    *plan = Some(Arc::downgrade(&made));
    Ok(made)
}

fn place(key: Key) -> Place {
    let mut plans = PLANS.lock().unwrap_or_else(PoisonError::into_inner);
    // A place that somebody else holds is being compiled into.
    plans.retain(|(_, place)| {
        Arc::strong_count(place) > 1
            || place.lock().is_ok_and(|plan| plan.as_ref().is_some_and(|plan| plan.strong_count() > 0))
    });
    if let Some((_, known)) = plans.iter().find(|(known, _)| *known == key) {
        return Arc::clone(known);
    }
    let place = Place::default();
    plans.push((key, Arc::clone(&place)));
    place
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::infer::{BackendKind, backend};

    #[test]
    fn one_model_is_compiled_once_for_all_threads_and_let_go_with_the_last() {
        let path = Path::new("demo/stopline-small.onnx");
        let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
        let engine = backend(BackendKind::Kernels, None).unwrap();
        let of = |digest: &str, threads: usize| {
            let options = PlanOptions { threads, ..PlanOptions::default() };
            let key = Key { digest: digest.into(), backend: "kernels", options };
            plan(key, &*engine, &ModelFile { path, bytes: &bytes }).unwrap()
        };
        let first = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| of("a test's", 1))).collect();
            let mut plans: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            let first = plans.remove(0);
            assert!(plans.iter().all(|other| Arc::ptr_eq(&first, other)));
            first
        });
        assert!(!Arc::ptr_eq(&first, &of("another", 1)) && !Arc::ptr_eq(&first, &of("a test's", 2)));
        let alive = Arc::downgrade(&first);
        drop(first);
        assert!(alive.upgrade().is_none(), "nobody runs it");
    }
}
