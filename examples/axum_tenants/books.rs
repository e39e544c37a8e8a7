//! The tenants' quotas, and their counts on disk: a crash refills nobody's day.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tower_quota::{Quota, quota::SavedState};

use super::tenants::Tenant;

/// Quotas by the names of their tenants.
#[derive(Clone)]
pub(crate) struct Books {
    file: Option<PathBuf>,
    // Of those who haven't come since the start.
    saved: Arc<Mutex<BTreeMap<String, SavedState>>>,
    quotas: Arc<Mutex<BTreeMap<&'static str, Quota>>>,
}

impl Books {
    /// Goes on from what was saved.
    pub(crate) fn open(file: Option<PathBuf>) -> Result<Self, String> {
        let saved = match file.as_deref().map(|file| (file, fs::read(file))) {
            None => BTreeMap::new(),
            Some((file, Ok(text))) => {
                serde_json::from_slice(&text).map_err(|error| problem(file, &error))?
            }
            Some((_, Err(error))) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Some((file, Err(error))) => return Err(problem(file, &error)),
        };
        Ok(Self {
            file,
            saved: Arc::new(Mutex::new(saved)),
            quotas: Arc::default(),
        })
    }

    /// A tenant's own.
    pub(crate) fn quota(&self, tenant: &Tenant) -> Quota {
        if let Some(quota) = lock(&self.quotas).get(tenant.name) {
            return quota.clone();
        }
        let builder = tenant.tier.builder();
        let saved = lock(&self.saved).remove(tenant.name);
        // A state that this version can't read is worth a fresh day, not an outage.
        let restored = saved.and_then(|saved| builder.clone().restore(saved).build().ok());
        let quota = restored.unwrap_or_else(|| builder.build().expect("the tiers make sense"));
        lock(&self.quotas)
            .entry(tenant.name)
            .or_insert(quota)
            .clone()
    }

    /// Writes all counts down: whole, or not at all.
    pub(crate) fn save(&self) -> Result<(), String> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let mut all = lock(&self.saved).clone();
        let quotas = lock(&self.quotas).clone();
        all.extend((quotas.iter()).map(|(name, quota)| ((*name).to_owned(), quota.save())));
        let half = file.with_extension("half");
        let text = serde_json::to_vec(&all).map_err(|error| problem(file, &error))?;
        fs::write(&half, text)
            .and_then(|()| fs::rename(&half, file))
            .map_err(|error| problem(file, &error))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn problem(file: &Path, error: &dyn fmt::Display) -> String {
    format!("--state {}: {error}", file.display())
}
