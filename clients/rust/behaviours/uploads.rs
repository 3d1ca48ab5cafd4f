//! Uploads through the gateway, and directly to the storage.

use std::{collections::HashMap, env, io::Cursor};

use hfgateway_client::{Kind, Upload, dop, v1::UploadMediaResponse};

use crate::{
    http,
    stage::{PATIENCE, Stage, behaviours, unique},
};

behaviours!(upload_bytes, upload_stream, upload_refused, create_upload);

/// A PNG with one grey pixel.
const PNG: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, // signature
    0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0, 0x3a, 0x7e, 0x9b,
    0x55, // one by one
    0, 0, 0, 10, b'I', b'D', b'A', b'T', 0x78, 0x9c, 0x63, 0x68, 0, 0, 0, 0x82, 0, 0x81, 0x77, 0xcd, 0x72,
    0xb6, // grey
    0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82,
];
const LARGE: usize = 3 << 20;

fn holds(stored: &UploadMediaResponse, size: usize) {
    assert!(stored.url.starts_with("http"));
    assert_eq!(stored.size, i64::try_from(size).expect("small"));
}

async fn upload_bytes(stage: Stage) {
    let stored = stage.client.upload("image/png", Upload::from(PNG).timeout(PATIENCE)).await.expect("it is stored");
    holds(&stored, PNG.len());
    let submission = stage.client.submit(dop(unique("zoom in"), [stored.url])).await.expect("it serves as an input");
    assert!(submission.generation.accept_time.is_some());
}

async fn upload_stream(stage: Stage) {
    let media = vec![7; LARGE];
    let reader = Upload::reader(Cursor::new(media.clone())).timeout(PATIENCE);
    holds(&stage.client.upload("video/mp4", reader).await.expect("it is stored"), LARGE);

    let path = env::temp_dir().join(unique("media").replace(' ', "-"));
    tokio::fs::write(&path, &media).await.expect("a file");
    let stored = stage.client.upload("video/mp4", Upload::file(&path).timeout(PATIENCE)).await;
    tokio::fs::remove_file(&path).await.expect("no file");
    holds(&stored.expect("it is stored"), LARGE);
}

async fn upload_refused(stage: Stage) {
    let refused = stage.client.upload("text/html", Upload::bytes("words").timeout(PATIENCE)).await;
    let error = refused.expect_err("text/html is not taken");
    assert_eq!(error.kind().broader(), Kind::InvalidInput, "{error}");
    assert!(["INPUT_REFUSED", "INVALID_INPUT"].contains(&error.reason()), "{error}");
}

async fn create_upload(stage: Stage) {
    let created = stage.client.create_upload("image/png").await.expect("an address");
    let (status, _) = http::send("PUT", &created.upload_url, &created.upload_headers, PNG).await;
    assert!([200, 201, 204].contains(&status), "{status}");
    let (status, body) = http::send("GET", &created.url, &HashMap::new(), b"").await;
    assert_eq!((status, body.as_slice()), (200, PNG));
}
