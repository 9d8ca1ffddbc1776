//! Models: packed, listed, compared.

use std::path::Path;

use jiff::Timestamp;

use super::{hear, open};
use crate::child::Stopline;
use crate::cli::arguments::{Delta, Evaluate, ModelsCommand, Pack, Place, ReleaseArgs, TestSetArgs};
use crate::evaluation::{self, TestSet};
use crate::exit::{Failure, Result, Said};
use crate::models::NewRelease;
use crate::staging::Staging;
use crate::store;
use crate::{delta, models, pack, roles, rotate};

pub(super) fn pack(args: &Pack, now: Timestamp) -> Result<Said> {
    let parts = pack::Parts {
        model: args.model.clone(),
        manifest: args.manifest.clone(),
        golden: args.golden.clone(),
        card: args.card.clone(),
        output: args.output.clone(),
        factory_image: args.factory_image.clone(),
    };
    let stopline = (!args.pack_a_model_that_may_not_work_at_all).then(|| Stopline::new(&args.stopline));
    let (mut said, bundle) = pack::run(&parts, stopline.as_ref())?;
    if !args.release.hardware.is_empty() {
        let added = add(&bundle, &args.release, &args.place, now)?;
        said.words.extend(added.words);
        said.json["added"] = added.json;
    }
    Ok(said)
}

fn add(bundle: &Path, args: &ReleaseArgs, place: &Place, now: Timestamp) -> Result<Said> {
    let new = NewRelease {
        hardware: args.hardware.clone(),
        min_runtime: args.min_runtime.clone(),
        security_floor: args.security_floor,
        factory: args.factory,
    };
    let staging = Staging::new(&place.staging.staging);
    models::add(&staging, &*store::open(&place.repository)?, bundle, &new, now)
}

pub(super) fn models(command: &ModelsCommand, now: Timestamp) -> Result<Said> {
    match command {
        ModelsCommand::Add { bundle, release, place } => add(bundle, release, place, now),
        ModelsCommand::List { place, heard } => {
            let (store, published) = open(place)?;
            models::list(&*store, &published, &hear(heard)?)
        }
        ModelsCommand::Show { release, place, heard } => {
            let (store, published) = open(place)?;
            models::show(&*store, &published, &hear(heard)?, release)
        }
        ModelsCommand::Diff { one, other, place } => {
            models::diff(&*store::open(&place.repository)?, one, other)
        }
        ModelsCommand::Renew { role, place } => {
            let (store, published) = open(place)?;
            let staging = Staging::new(&place.staging.staging);
            rotate::renew(&staging, &*store, &published, &roles::parse(role)?, now)
        }
    }
}

pub(super) fn delta(args: &Delta, now: Timestamp) -> Result<Said> {
    let store = store::open(&args.place.repository)?;
    let staging = Staging::new(&args.place.staging.staging);
    delta::run(&staging, &*store, &args.from, &args.to, args.worth, now)
}

pub(super) fn evaluate(args: &Evaluate, now: Timestamp) -> Result<Said> {
    let (test_set, stopline) = test_set(&args.test_set)
        .ok_or_else(|| Failure::usage("give the frozen test set with --test-set and --images"))?;
    let folder = args.staging.staging.join("evaluations");
    evaluation::run(&args.bundle, &test_set, &folder, &stopline, now)
}

pub(super) fn test_set(args: &TestSetArgs) -> Option<(TestSet, Stopline)> {
    let (annotations, images) = (args.test_set.clone()?, args.images.clone()?);
    Some((TestSet { annotations, images }, Stopline::new(&args.stopline)))
}
