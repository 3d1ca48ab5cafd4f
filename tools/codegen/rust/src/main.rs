//! `codegen DESCRIPTORS OUT`: Rust messages and gRPC stubs of a set of descriptors that protoc has written.

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
        // The client makes its channels itself.
        .build_transport(false)
        // For tests that need a gateway of their own.
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
        .compile_fds(set)?;
    Ok(())
}
