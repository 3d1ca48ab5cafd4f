//! Uploads of media. They are not retried, because a source may not be readable twice.

use std::{
    future,
    io::{self, Cursor},
    path::PathBuf,
    pin::Pin,
    time::Duration,
};

use async_stream::stream;
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt},
    select,
    sync::mpsc::{self, Receiver, Sender},
};

use tokio_stream::Stream;

use crate::{
    calls::{Calls, request, rpc, within},
    error::Error,
    v1::{
        UploadHeader, UploadMediaRequest, UploadMediaResponse, upload_media_request::Part,
        upload_service_client::UploadServiceClient,
    },
};

type BoxReader = Pin<Box<dyn AsyncRead + Send>>;

const CHUNK: usize = 256 * 1024;

/// Media to upload: a file, bytes or a reader. Bytes convert into it.
#[must_use = "pass it to `Client::upload`"]
pub struct Upload {
    source: Source,
    size: Option<u64>,
    timeout: Option<Duration>,
}

enum Source {
    File(PathBuf),
    Reader(BoxReader),
}

impl Upload {
    /// Uploads bytes in memory.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let size = bytes.len() as u64;
        Self::reader(Cursor::new(bytes)).size(size)
    }

    /// Uploads a file, which is opened when the upload starts.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { source: Source::File(path.into()), size: None, timeout: None }
    }

    /// Uploads everything that can be read from `reader`.
    pub fn reader(reader: impl AsyncRead + Send + 'static) -> Self {
        Self { source: Source::Reader(Box::pin(reader)), size: None, timeout: None }
    }

    /// Sets the size in bytes, which the gateway verifies. Bytes and files have their size already.
    pub fn size(mut self, bytes: u64) -> Self {
        self.size = Some(bytes);
        self
    }

    /// Limits the time of the upload. Default: no limit.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }
}

impl From<Vec<u8>> for Upload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::bytes(bytes)
    }
}

impl From<&[u8]> for Upload {
    fn from(bytes: &[u8]) -> Self {
        Self::bytes(bytes)
    }
}

/// Uploads media. Returns the gateway's response, the typed error, or the error of the source.
pub(crate) async fn upload(calls: &Calls, content_type: String, media: Upload) -> Result<UploadMediaResponse, Error> {
    let timeout = media.timeout;
    let sending = async {
        let (reader, size) = match media.source {
            Source::Reader(reader) => (reader, media.size),
            Source::File(path) => {
                let failed = |error: io::Error| {
                    Error::source_failed(io::Error::new(error.kind(), format!("{}: {error}", path.display())))
                };
                let file = File::open(&path).await.map_err(failed)?;
                let found = file.metadata().await.map_err(failed)?;
                let size = found.is_file().then_some(found.len()); // a pipe has none
                (Box::pin(file) as BoxReader, media.size.or(size))
            }
        };
        let size = size.map(|bytes| bytes.try_into().unwrap_or(i64::MAX));
        let (parts, sent) = mpsc::channel(1);
        let call = rpc!(UploadServiceClient.upload_media);
        select! {
            Err(error) = read(UploadHeader { content_type, size }, reader, parts) => Err(Error::source_failed(error)),
            response = call(calls.transport.clone(), request(messages(sent), timeout)) => match response {
                Ok(stored) => Ok(stored.into_inner()),
                Err(status) => Err(calls.describe(status.into(), None)),
            },
        }
    };
    let call = async { within(timeout, sending).await.unwrap_or_else(|error| Err(calls.describe(error, None))) };
    calls.until_closed(call).await
}

/// Sends the header, the media in chunks, and `None` as their end. It runs in the task of the caller: a panic of the source
/// in the task of the connection would end the calls of others.
async fn read(header: UploadHeader, mut reader: BoxReader, parts: Sender<Option<Part>>) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut sent = parts.send(Some(Part::Header(header))).await;
    while sent.is_ok() {
        // One read: the gateway ends an upload from which nothing arrives for a while.
        let count = reader.read(&mut buffer).await?;
        sent = parts.send((count > 0).then(|| Part::Chunk(buffer[..count].to_vec()))).await;
        if count == 0 {
            break;
        }
    }
    Ok(())
}

/// Yields the messages of an upload. Without the end of the media, because the source failed, the stream stays pending: if
/// it ended, the gateway would accept the media as complete.
fn messages(mut parts: Receiver<Option<Part>>) -> impl Stream<Item = UploadMediaRequest> + Send + 'static {
    stream! {
        loop {
            match parts.recv().await {
                Some(None) => return,
                Some(part) => yield UploadMediaRequest { part },
                None => future::pending().await,
            }
        }
    }
}
