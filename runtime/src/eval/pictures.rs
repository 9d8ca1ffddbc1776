//! Where the pictures of a dataset lie.

use std::path::{Path, PathBuf};

use super::EvalError;
use super::coco::{Dataset, Image};

/// The folder of a dataset's pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pictures {
    folder: PathBuf,
}

impl Pictures {
    /// The folder `given`, or the first of the usual ones in which a picture of the dataset lies: the annotations
    /// file's own folder, `images` in it or beside it, and for `annotations/instances_NAME.json` COCO's own layout,
    /// `NAME` or `images/NAME` beside `annotations`.
    ///
    /// # Errors
    /// [`EvalError::Value`] names the folders that were tried.
    pub fn locate(dataset: &Dataset, given: Option<&Path>) -> Result<Self, EvalError> {
        let candidates = given.map_or_else(|| usual_folders(&dataset.path), |folder| vec![folder.to_owned()]);
        // Single pictures may be missing, so more than the first is looked for; all of a large dataset would take long.
        const TRIED: usize = 50;
        let tried = || dataset.images.iter().filter(|image| !image.file_name.is_empty()).take(TRIED);
        for folder in &candidates {
            let pictures = Self { folder: folder.clone() };
            if tried().any(|image| pictures.path(image).is_some()) {
                return Ok(pictures);
            }
        }
        let names = candidates.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>();
        Err(EvalError::Value {
            path: dataset.path.display().to_string(),
            place: format!("the first {} pictures", tried().count()),
            expected: format!("their files in {} (say where with --images DIR)", names.join(", ")),
            found: format!("none, such as {:?}", tried().next().map_or("", |image| image.file_name.as_str())),
        })
    }

    /// The file of `image`, if there is one: its `file_name` in the folder, or the last part of that name.
    pub fn path(&self, image: &Image) -> Option<PathBuf> {
        let whole = self.folder.join(&image.file_name);
        let last = Path::new(&image.file_name).file_name().map(|last| self.folder.join(last));
        // Only regular files: a name from a foreign file must not open a device or a pipe.
        [Some(whole), last].into_iter().flatten().find(|path| path.is_file())
    }

    /// Where `image` was looked for.
    pub fn expected(&self, image: &Image) -> PathBuf {
        self.folder.join(&image.file_name)
    }
}

fn usual_folders(annotations: &Path) -> Vec<PathBuf> {
    let own = match annotations.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let beside = own.join("..");
    let stem = annotations.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let name = stem.strip_prefix("instances_").unwrap_or(stem);
    vec![
        own.clone(),
        own.join("images"),
        own.join(name),
        beside.join(name),
        beside.join("images").join(name),
        beside.join("images"),
        beside,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(path: PathBuf) -> Dataset {
        let image = |id, file_name: &str| Image { id, file_name: file_name.into(), size: None };
        let images = vec![image(1, "gone.jpg"), image(2, "sub/b.jpg")];
        Dataset { path, images, categories: Vec::new(), truths: Vec::new(), oddities: Default::default() }
    }

    #[test]
    fn cocos_own_layout_is_found_without_being_told() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("annotations")).unwrap();
        std::fs::create_dir_all(root.path().join("val2017/sub")).unwrap();
        std::fs::write(root.path().join("val2017/sub/b.jpg"), b"x").unwrap();
        let dataset = dataset(root.path().join("annotations/instances_val2017.json"));
        let pictures = Pictures::locate(&dataset, None).unwrap();
        assert_eq!(pictures.path(&dataset.images[0]), None);
        assert!(pictures.path(&dataset.images[1]).unwrap().ends_with("val2017/sub/b.jpg"));
    }

    #[test]
    fn pictures_in_one_flat_folder_are_found_by_the_last_part_of_their_names() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("b.jpg"), b"x").unwrap();
        let dataset = dataset(root.path().join("labels.json"));
        let pictures = Pictures::locate(&dataset, Some(root.path())).unwrap();
        assert_eq!(pictures.path(&dataset.images[1]), Some(root.path().join("b.jpg")));
    }

    #[test]
    fn no_picture_anywhere_is_told_with_the_folders_tried() {
        let root = tempfile::tempdir().unwrap();
        let told = Pictures::locate(&dataset(root.path().join("labels.json")), None).unwrap_err().to_string();
        assert!(told.contains("--images DIR") && told.contains("gone.jpg"), "{told}");
    }
}
