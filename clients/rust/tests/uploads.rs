//! The messages of an upload. A broken upload must never look complete.

use std::{
    io,
    pin::Pin,
    process::{self, Command},
    task::{Context, Poll},
    time::Duration,
};

use hfgateway_client::{
    Kind, Upload,
    v1::{Generation, UploadHeader, upload_media_request::Part},
};
use tokio::{
    fs,
    io::{AsyncRead, AsyncWriteExt, ReadBuf},
    time::timeout,
};

use crate::gateway::{Gateway, Seen, Turn};

const CHUNK: usize = 256 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

fn sent(gateway: &Gateway) -> (UploadHeader, Vec<Vec<u8>>) {
    let mut parts = gateway.seen().into_iter().map(|request| match request {
        Seen::Upload(request) => request.part.unwrap(),
        other => panic!("{other:?}"),
    });
    let Some(Part::Header(header)) = parts.next() else { panic!("no header") };
    let chunks = parts.map(|part| match part {
        Part::Chunk(chunk) => chunk,
        Part::Header(header) => panic!("{header:?}"),
    });
    (header, chunks.collect())
}

/// Returns bytes of different values, so that a wrong order is detected.
fn media(size: usize) -> Vec<u8> {
    (0..size).map(|place| (place / 1000) as u8).collect()
}

#[tokio::test]
async fn bytes_are_sent_in_chunks_with_their_size() {
    let gateway = Gateway::start().await;
    let client = gateway.builder().build().unwrap();
    let media = media(2 * CHUNK + 5);
    let stored = client.upload("image/png", media.clone()).await.unwrap();
    assert_eq!((stored.url.as_str(), stored.size), ("http://127.0.0.1/1", media.len() as i64));
    let (header, chunks) = sent(&gateway);
    assert_eq!(header, UploadHeader { content_type: "image/png".to_owned(), size: Some(media.len() as i64) });
    assert_eq!(chunks.iter().map(Vec::len).collect::<Vec<_>>(), [CHUNK, CHUNK, 5]);
    assert_eq!(chunks.concat(), media);
}

#[tokio::test]
async fn empty_media_is_a_header_with_size_zero() {
    let gateway = Gateway::start().await;
    gateway.builder().build().unwrap().upload("image/png", Upload::bytes("")).await.unwrap();
    let (header, chunks) = sent(&gateway);
    assert_eq!((header.size, chunks.len()), (Some(0), 0));
}

#[tokio::test]
async fn a_reader_sends_its_size_if_it_is_set() {
    for size in [None, Some(3)] {
        let gateway = Gateway::start().await;
        let mut upload = Upload::reader(Sluggish(vec![b"a", b"b", b"c"]));
        if let Some(size) = size {
            upload = upload.size(size);
        }
        gateway.builder().build().unwrap().upload("audio/wav", upload).await.unwrap();
        let (header, chunks) = sent(&gateway);
        assert_eq!(header.size, size.map(|size| size as i64));
        assert_eq!(chunks.concat(), b"abc");
    }
}

#[tokio::test]
async fn a_reader_is_sent_as_it_is_read() {
    let gateway = Gateway::start().await;
    let client = gateway.builder().build().unwrap();
    let (mut source, reader) = tokio::io::duplex(8);
    let writes = async {
        for piece in [b"a", b"b"] {
            source.write_all(piece).await.unwrap();
            // Nothing more can be read until the piece has arrived.
            timeout(PATIENCE, gateway.state.chunk.notified()).await.expect("the piece arrives");
        }
        drop(source);
    };
    let (stored, ()) = tokio::join!(client.upload("audio/wav", Upload::reader(reader)), writes);
    assert_eq!(stored.unwrap().size, 2);
    assert_eq!(sent(&gateway).1, [b"a", b"b"]);
}

#[tokio::test]
async fn a_file_sends_its_size_and_a_missing_file_is_an_error() {
    let gateway = Gateway::start().await;
    let client = gateway.builder().build().unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    client.upload("text/plain", Upload::file(file)).await.unwrap();
    let (header, chunks) = sent(&gateway);
    let content = std::fs::read(file).unwrap();
    assert_eq!(header.size, Some(content.len() as i64));
    assert_eq!(chunks.concat(), content);

    let error = client.upload("text/plain", Upload::file("/no/such/file")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::SourceFailed);
    assert!(error.message().starts_with("/no/such/file: "), "{error}");
    let source = std::error::Error::source(&error).unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), io::ErrorKind::NotFound);
}

#[tokio::test]
async fn a_file_sends_another_size_if_it_is_set() {
    let gateway = Gateway::start().await;
    let client = gateway.builder().build().unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    client.upload("text/plain", Upload::file(file).size(3)).await.unwrap();
    assert_eq!(sent(&gateway).0.size, Some(3));
}

#[tokio::test]
async fn a_size_beyond_the_message_is_not_left_out() {
    let gateway = Gateway::start().await;
    let client = gateway.builder().build().unwrap();
    client.upload("text/plain", Upload::bytes("abc").size(u64::MAX)).await.unwrap();
    assert_eq!(sent(&gateway).0.size, Some(i64::MAX)); // which the gateway refuses
}

/// Creates a named pipe, and returns its path. The test removes it.
fn named_pipe(name: &str) -> String {
    let pipe = format!("{}/{name}-{}", env!("CARGO_TARGET_TMPDIR"), process::id());
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    pipe
}

#[tokio::test]
async fn a_pipe_has_no_size_and_is_read_to_its_end() {
    let gateway = Gateway::start().await;
    let client = gateway.builder().build().unwrap();
    let pipe = named_pipe("pipe");
    let media = media(2 * CHUNK);
    let (stored, written) = tokio::join!(client.upload("image/png", Upload::file(&pipe)), fs::write(&pipe, &media));
    fs::remove_file(&pipe).await.unwrap();
    written.unwrap();
    stored.unwrap();
    let (header, chunks) = sent(&gateway);
    assert_eq!(header.size, None);
    assert_eq!(chunks.concat(), media);
}

#[tokio::test]
async fn a_pipe_without_a_writer_delays_neither_a_timeout_nor_closing() {
    let gateway = Gateway::start().await;
    let client = gateway.builder().build().unwrap();
    let pipe = named_pipe("silent");
    let late = client.upload("image/png", Upload::file(&pipe).timeout(Duration::from_millis(100)));
    let late = timeout(Duration::from_secs(60), late).await;
    let (closed, ()) =
        tokio::join!(timeout(Duration::from_secs(60), client.upload("image/png", Upload::file(&pipe))), async {
            client.close()
        },);
    fs::write(&pipe, "").await.unwrap(); // ends the threads that open it
    fs::remove_file(&pipe).await.unwrap();
    assert_eq!(late.expect("the timeout").unwrap_err().kind(), Kind::DeadlineExceeded);
    assert_eq!(closed.expect("the end").unwrap_err().kind(), Kind::ClientClosed);
}

#[tokio::test]
async fn an_error_of_the_source_cancels_the_upload_and_is_returned() {
    let gateway = Gateway::start().await;
    let client = gateway.builder().build().unwrap();
    let error = client.upload("video/mp4", Upload::reader(Sluggish(vec![b"a", b""]))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::SourceFailed);
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "out of paper");
    // The gateway has seen the call end, but not the end of the media.
    gateway.state.left.notified().await;
    assert_eq!(gateway.seen(), []);
}

#[tokio::test]
async fn a_panic_of_the_source_is_that_of_the_caller_and_breaks_no_other_call() {
    let gateway = Gateway::start().await;
    let client = gateway.builder().on_retry(|error, _| panic!("{error}")).build().unwrap();
    for pieces in [vec![], vec!["a"]] {
        gateway.turn(Turn::Silence).answers(Generation::default());
        let other = client.clone();
        let other = tokio::spawn(async move { other.get("1").await });
        timeout(PATIENCE, gateway.state.waiting.notified()).await.expect("the other call arrives");
        let uploading = client.clone();
        let upload = async move { uploading.upload("image/png", Upload::reader(Panicking(pieces))).await };
        let ended = timeout(PATIENCE, tokio::spawn(upload)).await.expect("the end of the upload");
        assert!(ended.unwrap_err().is_panic());
        client.get("2").await.unwrap(); // on the same connection
        assert!(!other.is_finished());
        other.abort();
    }
}

/// Returns one piece from each read; a missing piece is a panic.
struct Panicking(Vec<&'static str>);

impl AsyncRead for Panicking {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        buffer.put_slice(self.0.pop().expect("a piece").as_bytes());
        Poll::Ready(Ok(()))
    }
}

/// Returns one piece from each read; an empty piece is an error.
struct Sluggish(Vec<&'static [u8]>);

impl AsyncRead for Sluggish {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.0.is_empty() {
            match self.0.remove(0) {
                b"" => return Poll::Ready(Err(io::Error::other("out of paper"))),
                piece => buffer.put_slice(piece),
            }
        }
        Poll::Ready(Ok(()))
    }
}
