//! TLS settings, made once and shared by every connection and by the fetching of key sets.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Why TLS can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A `--ca-cert` file holds no usable certificate.
    #[error("certificate authority {index}: {reason}")]
    CaCert {
        /// Position among the given files, from 1.
        index: usize,
        /// What is wrong.
        reason: String,
    },
    /// The library refused the settings.
    #[error("TLS can't be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

/// Client settings: the system's authorities and the given ones (PEM), or no verification at all.
///
/// # Errors
/// [`TlsError`].
pub fn client_config(ca_certs: &[Vec<u8>], insecure: bool) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let config = if insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAny(provider))).with_no_client_auth()
    } else {
        builder.with_root_certificates(roots(ca_certs)?).with_no_client_auth()
    };
    Ok(Arc::new(config))
}

fn roots(ca_certs: &[Vec<u8>]) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    // A system without a store is fine as long as an authority is given; a handshake says so otherwise.
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for (position, pem) in ca_certs.iter().enumerate() {
        let wrong = |reason: String| TlsError::CaCert { index: position + 1, reason };
        let certificates: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
        if certificates.is_empty() {
            return Err(wrong("no PEM certificate in the file".into()));
        }
        for certificate in certificates {
            store.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
    }
    Ok(store)
}

/// For `--insecure`: any certificate will do, but the handshake itself is still checked.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
