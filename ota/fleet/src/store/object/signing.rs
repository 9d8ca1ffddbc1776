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

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(url: &str, known: &[(&str, &str)]) -> (String, Vec<(String, String)>) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let known: Vec<_> =
            known.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let (_, signing, path) = open(&url.parse().unwrap(), &known).unwrap();
        let at = path.parts().chain(ObjectPath::from("incoming/a/b").parts()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let content = (&Digest::of(b"batch"), 5);
        let signed = runtime.block_on(signing.unwrap().put(&at, content, Duration::from_secs(900))).unwrap();
        (signed.url, signed.headers)
    }

    #[test]
    fn s3_binds_the_content() {
        let known = [
            ("aws_access_key_id", "AKIAIOSFODNN7EXAMPLE"),
            ("aws_secret_access_key", "x"),
            ("aws_region", "eu-central-1"),
        ];
        let (url, headers) = signed("s3://fleet-records/north", &known);
        assert!(
            url.starts_with("https://s3.eu-central-1.amazonaws.com/fleet-records/north/incoming/a/b?"),
            "{url}"
        );
        for part in
            ["X-Amz-Expires=900&", "X-Amz-SignedHeaders=host%3Bx-amz-checksum-sha256&", "X-Amz-Signature="]
        {
            assert!(url.contains(part), "{part} in {url}");
        }
        // As `printf batch | openssl dgst -sha256 -binary | base64` says it.
        let expected =
            ("x-amz-checksum-sha256".to_owned(), "S7JO/JZBr8Xe0cp36rtuL88GLSESzNYb2L1qzYkYC64=".to_owned());
        assert_eq!(headers, [expected]);
    }

    #[test]
    fn azure_signs_for_writing_one_blob_and_binds_no_more() {
        let key = STANDARD.encode([7; 64]);
        let known = [("azure_storage_account_name", "stopline"), ("azure_storage_account_key", key.as_str())];
        let (url, headers) = signed("az://fleet-records/north", &known);
        let address = "https://stopline.blob.core.windows.net/fleet-records/north/incoming/a/b?";
        assert!(url.starts_with(address), "{url}");
        for part in ["sp=w", "sr=b", "se=", "sig="] {
            assert!(url.contains(part), "{part} in {url}");
        }
        assert_eq!(headers, [("x-ms-blob-type".to_owned(), "BlockBlob".to_owned())]);
    }
}
