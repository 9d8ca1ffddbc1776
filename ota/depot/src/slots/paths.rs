//! Where each file lies in its folder. Names of models were checked when they were read ([`check_name`]), so none of them
//! leads out of it.
//!
//! [`check_name`]: crate::versioned::check_name

use std::path::{Path, PathBuf};

use crate::digest::Digest;

/// A folder and what lies in it: under a name of its own, or one by digest or model.
macro_rules! folder {
    ($(#[$about:meta])* $kind:ident {
        $($(#[$doc:meta])* $name:ident $(($key:ident: $type:ty))? => $path:literal;)*
    }) => {
        $(#[$about])*
        #[derive(Debug, Clone)]
        pub struct $kind(PathBuf);

        impl $kind {
            /// Below `folder`.
            pub fn new(folder: impl Into<PathBuf>) -> Self {
                Self(folder.into())
            }

            /// The folder itself.
            pub fn folder(&self) -> &Path {
                &self.0
            }

            $($(#[$doc])* pub fn $name(&self $(, $key: $type)?) -> PathBuf {
                self.0.join(format_args!($path).to_string())
            })*
        }
    };
}

folder! {
    /// The agent's depot.
    DepotPaths {
        /// Held by the one updater.
        lock => "lock";
        /// The agent's TUF store.
        metadata => "metadata";
        /// Where each deployment has come.
        journal => "journal.json";
        /// All slots.
        slots => "slots";
        /// All offers.
        offers => "offers";
        /// The slot of a bundle.
        slot(digest: &Digest) => "slots/{digest}";
        /// The bundle in its slot.
        bundle(digest: &Digest) => "slots/{digest}/bundle.tar";
        /// What says that a slot is Staged.
        slot_record(digest: &Digest) => "slots/{digest}/slot.json";
        /// What frames the operator asks for, as it was signed.
        campaigns => "campaigns.json";
        /// How many frames rules may take, as the operator set it.
        capture_limits => "capture-limits.json";
        /// What is offered for a model.
        offer(model: &str) => "offers/{model}.json";
    }
}

folder! {
    /// The runtime's state.
    StatePaths {
        /// Held by the one runtime.
        lock => "lock";
        /// Which bundle is current.
        pointers => "pointers.json";
        /// All verdicts.
        verdicts => "verdicts";
        /// All approvals.
        approvals => "approvals";
        /// What became of all offers.
        progresses => "progress";
        /// What all bundles in service have done.
        services => "service";
        /// What the engine made of models.
        plans => "plans";
        /// Whether the last process ended in order.
        session => "session.json";
        /// The newest root that was followed.
        root => "root.json";
        /// What campaigns took today.
        campaigns => "campaigns.json";
        /// What capture rules took in the hour and the day.
        capture => "capture.json";
        /// What is known of a bundle.
        verdict(digest: &Digest) => "verdicts/{digest}.json";
        /// That a bundle was judged.
        approval(digest: &Digest) => "approvals/{digest}.json";
        /// What became of the offer for a model.
        progress(model: &str) => "progress/{model}.json";
        /// What a model's bundle has done in service.
        service(model: &str) => "service/{model}.json";
    }
}

folder! {
    /// The trust folder.
    TrustPaths {
        /// The runtime's own root.
        root => "root.json";
        /// Oldest releases.
        floor => "floor.json";
        /// Bundles that are never loaded.
        deny => "deny.json";
    }
}

folder! {
    /// The bundles that came with the device.
    FactoryPaths {
        /// A model's bundle.
        bundle(model: &str) => "{model}/bundle.tar";
        /// What is signed of it, where the image brings that along.
        slot_record(model: &str) => "{model}/slot.json";
    }
}
