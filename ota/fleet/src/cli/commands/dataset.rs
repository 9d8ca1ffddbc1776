//! Captured frames: datasets, forgetting, drift.

use jiff::Timestamp;
use stopline_depot::drift::Settings;

use crate::cli::arguments::{DatasetCommand, DatasetPlace, DriftArgs, ForgetArgs, Scene};
use crate::dataset::captured::Source;
use crate::dataset::export::Rules;
use crate::dataset::folder::Folder;
use crate::dataset::freeze::Freeze;
#[cfg(feature = "serve")]
use crate::dataset::gallery;
use crate::dataset::identity::Identities;
use crate::dataset::merge::Merge;
use crate::dataset::scenes::Together;
use crate::dataset::{audit, export, freeze, merge, selection};
use crate::exit::{Failure, Result, Said};
use crate::forget::{self, Places, Selection};
use crate::{drift, store};

pub(super) fn dataset(command: &DatasetCommand, now: Timestamp) -> Result<Said> {
    match command {
        DatasetCommand::Export {
            place,
            output,
            purpose,
            scene,
            duplicate,
            validation,
            limit,
            labels,
            only,
        } => {
            let only = only.as_deref().map(selection::read).transpose()?;
            let rules = Rules {
                purpose: *purpose,
                seed: scene.seed,
                together: together(*scene),
                duplicate: *duplicate,
                validation: *validation,
                limit: *limit,
                labels: labels.clone(),
                only: only.map(|selection| selection.records),
            };
            with(place, |source, folder| export::run(source, folder, output, &rules))
        }
        DatasetCommand::Merge { file, export, by, new_label, dataset } => {
            merge::run(&Folder::new(dataset), &Merge { file, export, by, new_labels: new_label }, now)
        }
        #[cfg(feature = "serve")]
        DatasetCommand::Gallery { place, output, limit, only } => {
            let only = only.as_deref().map(selection::read).transpose()?.map(|selection| selection.records);
            with(place, |source, _| gallery::run(source, output, *limit, only.as_ref()))
        }
        DatasetCommand::Audit { place, top } => {
            with(place, |source, folder| audit::run(source, folder, *top))
        }
        DatasetCommand::Freeze { place, name, percent, record, scene } => {
            let freeze = Freeze {
                name,
                percent: *percent,
                records: record,
                seed: scene.seed,
                together: together(*scene),
            };
            with(place, |source, folder| freeze::run(source, folder, &freeze))
        }
    }
}

fn together(scene: Scene) -> Together {
    Together { gap_s: scene.scene_gap, alike: scene.alike }
}

fn with(place: &DatasetPlace, run: impl FnOnce(&Source<'_>, &Folder) -> Result<Said>) -> Result<Said> {
    let store = store::open(&place.store)?;
    let identities = Identities::read(&place.identity)?;
    run(&Source { store: &*store, identities: &identities }, &Folder::new(&place.dataset))
}

pub(super) fn forget(args: &ForgetArgs, who: &str, now: Timestamp) -> Result<Said> {
    let store = store::open(&args.store)?;
    let identities = (!args.identity.is_empty()).then(|| Identities::read(&args.identity)).transpose()?;
    let folder = args.dataset.as_ref().map(Folder::new);
    let selection =
        Selection { device: args.device.clone(), records: args.record.clone(), from: args.from, to: args.to };
    #[cfg(feature = "serve")]
    let mut register =
        args.data.as_deref().map(|data| forget::Rows::new(data, args.database.as_deref(), who));
    #[cfg(feature = "serve")]
    let register = register.as_mut().map(|register| -> &mut dyn forget::Register { register });
    #[cfg(not(feature = "serve"))]
    let (register, _) = (None, who);
    let places = Places {
        store: &*store,
        folder: folder.as_ref(),
        exports: &args.export,
        register,
        identities: identities.as_ref(),
    };
    let said = forget::run(places, &selection, now)?;
    if let Some(path) = &args.receipt {
        forget::keep_receipt(path, &said)?;
    }
    Ok(said)
}

pub(super) fn drift(args: &DriftArgs) -> Result<Said> {
    let rate = args.false_alarms_per_month;
    if !(0.001..=100.0).contains(&rate) {
        return Err(Failure::usage(format!("--false-alarms-per-month {rate}: 0.001 to 100 are expected")));
    }
    let settings = Settings { false_alarms_per_month: rate, ..Settings::default() };
    drift::run(&args.places, args.manifest.as_deref(), settings)
}
