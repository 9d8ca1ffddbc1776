//! The model compiled for one input size, with all that is needed to run it.

use std::sync::Arc;

use stopline_depot::manifest::Manifest;
use stopline_sensors::clock::{Clock, SystemClock};
use stopline_sensors::frame::Frame;

use super::extra::Extra;
use super::{DetectError, LoadError, StageTimes};
use crate::decode::{self, Decoder};
use crate::detection::Detection;
use crate::infer::{OperatorTime, Plan, Session, Tensor};
use crate::prepare::Preparer;
use crate::prepare::geometry::Geometry;

/// The model at one input size.
pub(super) struct Rig {
    /// Pixels across and down.
    pub size: [u32; 2],
    preparer: Preparer,
    session: Box<dyn Session>,
    decoder: Box<dyn Decoder>,
    /// In the plan's order.
    tensors: Vec<Tensor>,
    picture: usize,
    /// Whether the graph takes the picture without its batch axis.
    unbatched: bool,
    extras: Vec<Extra>,
}

impl Rig {
    pub(super) fn new(
        manifest: &Manifest,
        size: [u32; 2],
        plan: Arc<dyn Plan>,
        picture: &str,
        (model, manifest_path): (String, String),
    ) -> Result<Self, LoadError> {
        // The decoder checks its grid against the size that is really run.
        let mut sized = manifest.clone();
        [sized.input.width, sized.input.height] = size;
        let decoder = decode::decoder(&sized, plan.outputs()).map_err(|cause| LoadError::Decode {
            model,
            manifest: manifest_path.clone(),
            cause,
        })?;
        let preparer = Preparer::new(&sized.input, size)
            .map_err(|cause| LoadError::Prepare { manifest: manifest_path.clone(), cause })?;
        let (mut tensors, mut extras) = (Vec::new(), Vec::new());
        let (mut place, mut unbatched) = (0, false);
        for (at, spec) in plan.inputs().iter().enumerate() {
            if spec.name == picture {
                (place, unbatched) = (at, spec.shape.len() == 3);
                tensors.push(preparer.tensor());
                continue;
            }
            let made = Extra::new(manifest, at, spec);
            let (extra, tensor) = made.map_err(|problem| LoadError::Extra {
                manifest: manifest_path.clone(),
                name: spec.name.clone(),
                problem,
            })?;
            extras.push(extra);
            tensors.push(tensor);
        }
        let session = plan.session()?;
        Ok(Self { size, preparer, session, decoder, tensors, picture: place, unbatched, extras })
    }

    /// The first stage alone: what the model is fed.
    pub(super) fn prepare(&mut self, frame: &Frame, geometry: &Geometry) -> Result<&Tensor, DetectError> {
        let tensor = &mut self.tensors[self.picture];
        self.preparer.prepare(frame, geometry, tensor)?;
        Ok(tensor)
    }

    /// Runs the three stages on `frame`, lying on the input as `geometry` says.
    pub(super) fn run(
        &mut self,
        frame: &Frame,
        geometry: &Geometry,
        found: &mut Vec<Detection>,
    ) -> Result<StageTimes, DetectError> {
        let start = SystemClock.monotonic();
        self.fill(frame, geometry)?;
        let prepared = SystemClock.monotonic();
        self.batched(false);
        let ran = self.session.run(&self.tensors);
        // As `batched` does; the outputs are lent from the session meanwhile.
        if self.unbatched {
            self.tensors[self.picture].shape.insert(0, 1);
        }
        let outputs = ran?;
        let inferred = SystemClock.monotonic();
        self.decoder.decode(outputs, geometry, found)?;
        let decoded = SystemClock.monotonic();
        Ok(StageTimes {
            prepare: prepared.since(start),
            infer: inferred.since(prepared),
            decode: decoded.since(inferred),
        })
    }

    /// Runs the model on `frame` and tells what each of its operators took.
    pub(super) fn operators(
        &mut self,
        frame: &Frame,
        geometry: &Geometry,
    ) -> Result<Vec<OperatorTime>, DetectError> {
        self.fill(frame, geometry)?;
        self.batched(false);
        let ran = self.session.run_timed(&self.tensors);
        self.batched(true);
        Ok(ran?)
    }

    fn fill(&mut self, frame: &Frame, geometry: &Geometry) -> Result<(), DetectError> {
        self.prepare(frame, geometry)?;
        for extra in &self.extras {
            extra.fill(geometry, &mut self.tensors[extra.at]);
        }
        Ok(())
    }

    /// The preparer's tensor has a batch axis; a graph without one gets the same values under the shorter shape.
    fn batched(&mut self, batched: bool) {
        if self.unbatched {
            let shape = &mut self.tensors[self.picture].shape;
            if batched {
                shape.insert(0, 1);
            } else {
                shape.remove(0);
            }
        }
    }
}
