//! TLS settings, made once and shared by every connection and by the fetching of key sets.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier as PlatformVerifier;

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
    let trust = if insecure { Trust::Anybody } else { Trust::Authorities(authorities(ca_certs, &provider)?) };
    let verifier = Arc::new(Verifier { trust, provider });
    Ok(Arc::new(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
}

/// The same settings for HTTP/2 (gRPC): it has to be agreed on in the handshake.
pub(super) fn over_http2(config: &Arc<ClientConfig>) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(config);
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// The system's authorities and the given ones, or nobody's word at all.
#[derive(Debug)]
enum Trust {
    Anybody,
    Authorities(Authorities),
}

#[derive(Debug)]
struct Authorities {
    /// `None` where there is no authority at all.
    chains: Option<PlatformVerifier>,
    /// The certificates of the given files.
    given: Vec<CertificateDer<'static>>,
}

fn authorities(ca_certs: &[Vec<u8>], provider: &Arc<CryptoProvider>) -> Result<Authorities, TlsError> {
    let given = given_certificates(ca_certs)?;
    // Where each of them is looked at by itself, an error can say which file it is.
    for (index, certificate) in &given {
        let wrong = |error: rustls::Error| TlsError::CaCert { index: *index, reason: error.to_string() };
        RootCertStore::empty().add(certificate.clone()).map_err(wrong)?;
    }
    let given: Vec<_> = given.into_iter().map(|(_, certificate)| certificate).collect();
    let chains = match PlatformVerifier::new_with_extra_roots(given.iter().cloned(), Arc::clone(provider)) {
        Ok(chains) => Some(chains),
        // A system without a store is fine as long as nothing is asked of it; a handshake says so otherwise.
        Err(_) if given.is_empty() => None,
        Err(error) => return Err(error.into()),
    };
    Ok(Authorities { chains, given })
}

/// The certificates of PEM files, each with the position of its file, from 1.
fn given_certificates(ca_certs: &[Vec<u8>]) -> Result<Vec<(usize, CertificateDer<'static>)>, TlsError> {
    let mut given = Vec::new();
    for (position, pem) in ca_certs.iter().enumerate() {
        let wrong = |reason: String| TlsError::CaCert { index: position + 1, reason };
        let certificates: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
        if certificates.is_empty() {
            return Err(wrong("no PEM certificate in the file".into()));
        }
        given.extend(certificates.into_iter().map(|certificate| (position + 1, certificate)));
    }
    Ok(given)
}

/// Whatever is trusted, the handshake itself is checked.
#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

/// Whether a certificate is refused only for being an authority's, as what `openssl req -x509` makes by default is.
fn is_authority_itself(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(CertificateError::Other(reason))
        if format!("{reason:?}").contains("CaUsedAsEndEntity"))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Trust::Authorities(authorities) = &self.trust else { return Ok(ServerCertVerified::assertion()) };
        let chains = authorities.chains.as_ref().ok_or(CertificateError::UnknownIssuer)?;
        match chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // Validity has been looked at by then; the very certificate was given to be trusted.
            Err(error) if is_authority_itself(&error) && authorities.given.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
