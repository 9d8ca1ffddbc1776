//! `pack`: a model, its manifest, golden pictures and card become one file of which the same input gives the same bytes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;
use stopline_depot::bundle::{Bundle, packed, write_tar};
use stopline_depot::digest::Digest;
use stopline_depot::manifest::{Manifest, Provenance};

use crate::child::Stopline;
use crate::exit::{Failure, Result, Said};
use crate::files;

/// Bytes of a golden picture or a card, at most.
const MAX_PICTURE: u64 = 64 << 20;

/// What is packed.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The ONNX file.
    pub model: PathBuf,
    /// `model.toml`.
    pub manifest: PathBuf,
    /// Folder of golden pictures; default: `golden/` beside the manifest.
    pub golden: Option<PathBuf>,
    /// What people should know of the model.
    pub card: Option<PathBuf>,
    /// The `.slb`; default: `NAME-VERSION.slb`.
    pub output: Option<PathBuf>,
    /// A factory image's folder of models: the bundle is laid down there too, unpacked, as `MODEL/bundle.tar`.
    pub factory_image: Option<PathBuf>,
}

/// Packs; the bundle must answer its own golden vectors when `stopline` runs it.
pub fn run(parts: &Parts, stopline: Option<&Stopline>) -> Result<(Said, PathBuf)> {
    let model = files::read(&parts.model, stopline_depot::bundle::MAX_UNPACKED)?;
    let manifest = manifest(parts, &model)?;
    let manifest_json = serde_json::to_vec(&manifest).map_err(Failure::failed)?;
    let golden = golden(parts, &manifest)?;
    let card = parts.card.as_ref().map(|path| files::read(path, MAX_PICTURE)).transpose()?;
    let golden = golden.iter().map(|(name, bytes)| (name.clone(), bytes.as_slice())).collect();
    let refused = |error| Failure::refused(format!("{}: {error}", parts.manifest.display()));
    let bundle = Bundle::new(&manifest_json, &model, card.as_deref(), golden).map_err(refused)?;
    let output = parts
        .output
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{}-{}.slb", manifest.name, manifest.version)));
    let tested = match stopline {
        Some(stopline) => {
            if bundle.manifest.golden.is_empty() {
                return Err(Failure::refused(format!(
                    "{}: no golden pictures: nothing would prove on a board that the model runs there as it did here",
                    parts.manifest.display()
                )));
            }
            selftest(&bundle, &output, stopline)?
        }
        None => json!(null),
    };
    let mut slb = Vec::new();
    let packed = packed::pack(&bundle, &mut slb).map_err(refused)?;
    files::write(&output, &slb)?;
    let laid = parts.factory_image.as_deref().map(|image| lay_down(&bundle, image)).transpose()?;
    let (unpacked, whole) =
        (Digest::from_bytes(packed.unpacked.sha256), Digest::from_bytes(packed.packed.sha256));
    let proof = if stopline.is_some() { "it answers its golden vectors here" } else { "NOT TESTED" };
    let mut words = vec![
        format!("packed {} {} into {}: {proof}", manifest.name, manifest.version, output.display()),
        format!(
            "  bundle {unpacked}, {} bytes; packed {whole}, {} bytes",
            packed.unpacked.length, packed.packed.length
        ),
    ];
    words.extend(laid.as_ref().map(|path| format!("  for a factory's image: {}", path.display())));
    let json = json!({
        "bundle": output, "factory_image": laid, "model": manifest.name, "version": manifest.version, "selftest": tested,
        "unpacked": {"sha256": unpacked, "length": packed.unpacked.length},
        "packed": {"sha256": whole, "length": packed.packed.length},
    });
    Ok((Said::new(words, json), output))
}

/// The manifest, with the digest of the model it speaks of.
fn manifest(parts: &Parts, model: &[u8]) -> Result<Manifest> {
    let text = String::from_utf8(files::read(&parts.manifest, 1 << 20)?);
    let refused =
        |error: &dyn std::fmt::Display| Failure::refused(format!("{}: {error}", parts.manifest.display()));
    let text = text.map_err(|error| refused(&error))?;
    let mut manifest = Manifest::from_toml(&text).map_err(|error| refused(&error))?;
    let provenance = manifest.provenance.get_or_insert_with(Provenance::default);
    // One that stands there already is compared when the bundle is put together.
    provenance.sha256.get_or_insert_with(|| Digest::of(model).to_string());
    Ok(manifest)
}

fn golden(parts: &Parts, manifest: &Manifest) -> Result<BTreeMap<String, Vec<u8>>> {
    let beside = stopline_depot::disk::folder_of(&parts.manifest).join("golden");
    let folder = parts.golden.clone().unwrap_or(beside);
    let mut pictures = BTreeMap::new();
    for golden in &manifest.golden {
        let name = golden.image.strip_prefix("golden/").filter(|name| !name.contains('/'));
        let name = name.ok_or_else(|| {
            Failure::refused(format!("golden.image: {:?}; golden/NAME is expected", golden.image))
        })?;
        pictures.insert(golden.image.clone(), files::read(&folder.join(name), MAX_PICTURE)?);
    }
    Ok(pictures)
}

/// `IMAGE/MODEL/bundle.tar`, where a runtime's `depot.factory` looks for it.
fn lay_down(bundle: &Bundle<'_>, image: &Path) -> Result<PathBuf> {
    let folder = image.join(&bundle.manifest.name);
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::failed(format!("{}: {error}", folder.display())))?;
    let mut tar = Vec::new();
    write_tar(bundle, &mut tar).map_err(|error| Failure::failed(format!("{}: {error}", folder.display())))?;
    let path = folder.join("bundle.tar");
    files::write(&path, &tar)?;
    Ok(path)
}

/// Writes `bundle.tar` beside the output for as long as the test lasts.
fn selftest(bundle: &Bundle<'_>, output: &Path, stopline: &Stopline) -> Result<serde_json::Value> {
    let mut tar = Vec::new();
    write_tar(bundle, &mut tar).map_err(Failure::failed)?;
    let mut name = output.as_os_str().to_owned();
    name.push(format!(".{}.tar", std::process::id()));
    let path = PathBuf::from(name);
    files::write_new(&path, &tar, 0o600)?;
    let tested = stopline.selftest(&path);
    files::remove(&path)?;
    tested
}
