//! The configuration of a client: address, TLS, keepalive and credentials.

use std::{
    env, fmt, fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::sync::Semaphore;
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, ClientTlsConfig, Endpoint, Identity},
};

use crate::{
    calls::{Calls, OnRetry, OnWarning},
    client::Client,
    error::Error,
    retry::RetryPolicy,
    timers::{SystemTimers, Timers},
    transport::{Layers, authorized},
    v1::FieldViolation,
};

/// The address on which a gateway listens by default.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:50051";

const USER_AGENT: &str = concat!("hfgateway-client-rust/", env!("CARGO_PKG_VERSION"));
const TIMEOUT: Duration = Duration::from_secs(30);
// A connection is taken for dead `PING_AFTER + PING_TIMEOUT` after its last byte: early enough to repeat a call within
// `TIMEOUT`. The gateway accepts a ping every 10 s on a connection without data.
const PING_AFTER: Duration = Duration::from_secs(11);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// TLS settings: which certificate authorities to trust, and the client's certificate for mTLS.
///
/// The PEM files are read when the client is built.
#[derive(Clone, Debug, Default)]
#[must_use = "pass it to `Builder::tls`"]
pub struct Tls {
    authority: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
}

impl Tls {
    /// Trusts the system's root certificates.
    pub fn system() -> Self {
        Self::default()
    }

    /// Trusts only the certificate authorities in this file.
    pub fn authority(file: impl Into<PathBuf>) -> Self {
        Self { authority: Some(file.into()), identity: None }
    }

    /// Sets the client's certificate and its key, for mTLS.
    pub fn identity(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some((certificate.into(), key.into()));
        self
    }

    fn config(&self) -> Result<ClientTlsConfig, Error> {
        let config = match &self.authority {
            Some(file) => {
                let pem = read(file)?;
                if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
                    return Err(Error::configuration(&file.display().to_string(), "it contains no certificate"));
                }
                ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem))
            }
            None => ClientTlsConfig::new().with_native_roots(),
        };
        Ok(match &self.identity {
            Some((certificate, key)) => config.identity(Identity::from_pem(read(certificate)?, read(key)?)),
            None => config,
        })
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    fs::read(file).map_err(|error| Error::configuration(&file.display().to_string(), error))
}

/// The configuration of a client; see [`Client::builder`].
#[derive(Clone)]
#[must_use = "call `build` to create the client"]
pub struct Builder {
    address: String,
    api_key: Option<String>,
    insecure: bool,
    tls: Option<Tls>,
    timeout: Duration,
    retry: RetryPolicy,
    timers: Arc<dyn Timers>,
    on_retry: OnRetry,
    on_warning: OnWarning,
    configure: Arc<dyn Fn(Endpoint) -> Endpoint + Send + Sync>,
    pub(crate) layers: Layers,
}

/// A client for the gateway at `HFGATEWAY_ADDRESS`, or else at [`DEFAULT_ADDRESS`].
impl Default for Builder {
    fn default() -> Self {
        Self::new(variable("HFGATEWAY_ADDRESS").unwrap_or_else(|| DEFAULT_ADDRESS.to_owned()))
    }
}

impl Builder {
    pub(crate) fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            api_key: variable("HFGATEWAY_API_KEY"),
            insecure: false,
            tls: None,
            timeout: TIMEOUT,
            retry: RetryPolicy::default(),
            timers: Arc::new(SystemTimers),
            on_retry: Arc::new(|_, _| ()),
            on_warning: Arc::new(|_| ()),
            configure: Arc::new(|endpoint| endpoint),
            layers: Arc::new(|transport| transport),
        }
    }

    /// Sets the API key or watch token to send with every call; "" is none. Default: the environment variable
    /// `HFGATEWAY_API_KEY`, or none.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// Allows to send the key in plaintext to an address that is not a loopback address.
    pub fn insecure(mut self) -> Self {
        self.insecure = true;
        self
    }

    /// Connects with TLS. Default: plaintext.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Limits each call that returns one response, including its retries. Default: 30 s.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// Sets when and for how long the client retries. Default: [`RetryPolicy::default`].
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Calls `hook` before each retry of a call, and before a watch resumes, with the error and the delay: to log them,
    /// for example.
    pub fn on_retry(mut self, hook: impl Fn(&Error, Duration) + Send + Sync + 'static) -> Self {
        self.on_retry = Arc::new(hook);
        self
    }

    /// Calls `hook` with each warning about an input that [`Client::generate`] has submitted; see
    /// [`Submission::warnings`](crate::Submission::warnings).
    pub fn on_warning(mut self, hook: impl Fn(&FieldViolation) + Send + Sync + 'static) -> Self {
        self.on_warning = Arc::new(hook);
        self
    }

    /// Replaces the clock and the randomness, for tests.
    pub fn timers(mut self, timers: impl Timers) -> Self {
        self.timers = Arc::new(timers);
        self
    }

    /// Changes tonic's settings of the connection, such as timeouts and limits, after the client has made its own.
    pub fn configure(mut self, change: impl Fn(Endpoint) -> Endpoint + Send + Sync + 'static) -> Self {
        self.configure = Arc::new(change);
        self
    }

    /// Creates the client. It connects on the first call.
    ///
    /// [`Kind::InvalidConfiguration`](crate::Kind) if the address or the key is invalid, a PEM file cannot be read or
    /// contains no certificate, or the key would be sent in plaintext to an address that is not a loopback address.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn build(self) -> Result<Client, Error> {
        let invalid = |error| Error::configuration(&self.address, error);
        let key = self.api_key.as_deref().filter(|key| !key.is_empty());
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{}", self.address))
            .and_then(|endpoint| endpoint.user_agent(USER_AGENT))
            .map_err(invalid)?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(PING_AFTER)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(false);
        if key.is_some() && self.tls.is_none() && !self.insecure && !endpoint.uri().host().is_some_and(is_loopback) {
            return Err(Error::configuration(
                &self.address,
                "the API key needs `tls`, or `insecure` to send it in plaintext",
            ));
        }
        // tonic would leave out a port that is no number, and take a scheme for a host.
        let uri = endpoint.uri();
        let port = uri.port_u16().map_or_else(String::new, |port| format!(":{port}"));
        if format!("{}{port}", uri.host().unwrap_or_default()) != self.address {
            return Err(Error::configuration(&self.address, "it is not HOST:PORT"));
        }
        if let Some(tls) = &self.tls {
            endpoint = endpoint.tls_config(tls.config()?).map_err(invalid)?;
        }
        let channel = (self.configure)(endpoint).connect_lazy();
        Ok(Client::new(Calls {
            transport: (self.layers)(authorized(channel, key.map(bearer).transpose()?)),
            timeout: self.timeout,
            retry: self.retry,
            timers: self.timers,
            address: self.address.into(),
            on_retry: self.on_retry,
            on_warning: self.on_warning,
            reached: Arc::default(),
            open: Arc::new(Semaphore::new(0)),
        }))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Leave out the API key.
        formatter
            .debug_struct("Builder")
            .field("address", &self.address)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|text| !text.is_empty())
}

/// Returns whether only this machine can reach the address.
fn is_loopback(host: &str) -> bool {
    let ip: Result<IpAddr, _> = host.trim_start_matches('[').trim_end_matches(']').parse();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

fn bearer(key: &str) -> Result<MetadataValue<Ascii>, Error> {
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::configuration("the API key", "it contains characters other than visible ASCII"));
    }
    let mut value: MetadataValue<Ascii> =
        format!("Bearer {key}").parse().map_err(|error| Error::configuration("the API key", error))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{PING_AFTER, PING_TIMEOUT, TIMEOUT, bearer};

    #[test]
    fn a_dead_connection_is_noticed_within_the_timeout_and_without_too_many_pings() {
        assert!(PING_AFTER + PING_TIMEOUT < TIMEOUT * 2 / 3);
        assert!(PING_AFTER > Duration::from_secs(10));
    }

    #[test]
    fn debug_output_of_headers_hides_the_key() {
        let value = bearer("hfg_secret").unwrap();
        assert_eq!((value.to_str().unwrap(), format!("{value:?}").as_str()), ("Bearer hfg_secret", "Sensitive"));
    }
}
