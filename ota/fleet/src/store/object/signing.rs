//! Requests that are signed here and made by somebody else: one PUT to one place, without the store's credentials.
//!
//! What a signature binds besides place, method and time differs: S3 the content (a checksum header that it holds the body
//! against), GCS the length, Azure neither. Whoever takes an object in must look at it again, whatever the store.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path as ObjectPath;
use object_store::signer::{HeaderName, HeaderValue, Method, SignedUrlOptions, Signer, Url};
use object_store::{ObjectStore, ObjectStoreScheme};
use stopline_depot::digest::Digest;

use super::super::SignedPut;

/// Who signs for a store.
#[derive(Clone)]
pub(super) struct Signing {
    signer: Arc<dyn Signer>,
    binds: Binds,
}

/// What a store lets a signature say of the body.
#[derive(Debug, Clone, Copy)]
enum Binds {
    Content,
    Length,
    Nothing,
}

/// A store, who signs for it, and the path in it.
pub(super) type Opened = (Arc<dyn ObjectStore>, Option<Signing>, ObjectPath);

/// Opens the store that `url` names, with what `known` says of it, in lower case.
///
/// # Errors
/// What is wrong with either.
pub(super) fn open(url: &Url, known: &[(String, String)]) -> Result<Opened, String> {
    /// As `object_store` itself does it, but the type is kept: a boxed store no longer signs.
    macro_rules! built {
        ($builder:ty) => {{
            let builder = <$builder>::new().with_url(url.to_string());
            let builder = known.iter().fold(builder, |builder, (key, value)| match key.parse() {
                Ok(key) => builder.with_config(key, value),
                // Another vendor's, or another program's.
                Err(_) => builder,
            });
            Arc::new(builder.build().map_err(|error| error.to_string())?)
        }};
    }
    let (scheme, path) = ObjectStoreScheme::parse(url).map_err(|error| error.to_string())?;
    let signed = |signer: Arc<dyn Signer>, binds| Some(Signing { signer, binds });
    Ok(match scheme {
        ObjectStoreScheme::AmazonS3 => {
            let store = built!(AmazonS3Builder);
            (store.clone(), signed(store, Binds::Content), path)
        }
        ObjectStoreScheme::GoogleCloudStorage => {
            let store = built!(GoogleCloudStorageBuilder);
            (store.clone(), signed(store, Binds::Length), path)
        }
        ObjectStoreScheme::MicrosoftAzure => {
            let store = built!(MicrosoftAzureBuilder);
            (store.clone(), signed(store, Binds::Nothing), path)
        }
        _ => {
            let (store, path) = object_store::parse_url_opts(url, known.iter().cloned())
                .map_err(|error| error.to_string())?;
            (Arc::from(store), None, path)
        }
    })
}

impl Signing {
    /// A PUT of these contents to `path`.
    pub(super) async fn put(
        &self,
        path: &ObjectPath,
        (digest, length): (&Digest, u64),
        valid: Duration,
    ) -> object_store::Result<SignedPut> {
        let headers: Vec<(&'static str, String)> = match self.binds {
            Binds::Content => vec![("x-amz-checksum-sha256", STANDARD.encode(digest.as_bytes()))],
            Binds::Length => vec![("x-goog-content-length-range", format!("{length},{length}"))],
            // It belongs to each PUT of a blob, and a signature of Azure's covers no headers.
            Binds::Nothing => vec![("x-ms-blob-type", "BlockBlob".to_owned())],
        };
        let mut options = SignedUrlOptions::new();
        if !matches!(self.binds, Binds::Nothing) {
            for (name, value) in &headers {
                let value = HeaderValue::from_str(value).map_err(|error| object_store::Error::Generic {
                    store: "signing",
                    source: Box::new(error),
                })?;
                options = options.with_signed_header(HeaderName::from_static(name), value);
            }
        }
        let url = self.signer.signed_url_opts(Method::PUT, path, valid, &options).await?;
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(SignedPut { url: url.into(), headers })
    }
}
