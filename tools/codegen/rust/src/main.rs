//! `codegen DESCRIPTORS OUT`: generates Rust messages and gRPC stubs from a descriptor set that protoc has written.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;
use prost_types::FileDescriptorSet;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [descriptors, out] = arguments.as_slice() else {
        return Err("usage: codegen DESCRIPTORS OUT".into());
    };
    let set = FileDescriptorSet::decode(fs::read(descriptors)?.as_slice())?;
    tonic_prost_build::configure()
        .out_dir(out)
        // The client creates its channels itself, so the stubs need no `connect` function.
        .build_transport(false)
        // Server traits are only for tests that implement a gateway.
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
        .compile_fds(set)?;
    Ok(())
}
