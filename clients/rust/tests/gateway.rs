//! A scripted gateway on a real socket, whose connections can be cut.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
};

use hfgateway_client::{
    Builder, Client, RetryPolicy, Stream,
    v1::{
        generation_service_server::{GenerationService, GenerationServiceServer},
        token_service_server::{TokenService, TokenServiceServer},
        upload_service_server::{UploadService, UploadServiceServer},
        *,
    },
};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::{
    Message,
    bytes::{Buf, BufMut},
};
use prost_types::Any;
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
    task::JoinSet,
};
use tokio_stream::StreamExt;
use tonic::{
    Code, Request, Response, Status, Streaming,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::{Service, http},
    server::ServerStreamingService,
};
use tonic_types::pb;

use crate::timers::ManualTimers;

/// A received request, by the name of its message.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    Submit(SubmitGenerationRequest),
    Get(GetGenerationRequest),
    List(ListGenerationsRequest),
    Wait(WaitGenerationRequest),
    Watch(WatchGenerationRequest),
    WatchMany(WatchGenerationsRequest),
    Token(CreateWatchTokenRequest),
    Upload(UploadMediaRequest),
    /// A request of any other service: the method and the encoded message.
    Other(String, Vec<u8>),
}

impl Seen {
    /// Returns a request of another service.
    pub fn other(method: &str, request: &impl Message) -> Self {
        Self::Other(method.to_owned(), request.encode_to_vec())
    }
}

/// The next step for calls of one kind.
pub enum Turn<T> {
    /// Respond with this.
    Answer(T),
    /// Fail with this error after a number of seconds.
    Error(Status, f64),
    /// Do not respond: the call stays open.
    Silence,
}

/// The messages of one stream, and its end: an error, the gateway, or none.
pub struct Scripted<M> {
    pub messages: Vec<M>,
    pub end: End,
}

pub enum End {
    Error(Status),
    Ok,
    Open,
}

#[derive(Default)]
pub struct State {
    pub seen: Mutex<Vec<Seen>>,
    /// The headers of the last request.
    pub headers: Mutex<http::HeaderMap>,
    pub generations: Mutex<VecDeque<Turn<Generation>>>,
    pub pages: Mutex<VecDeque<ListGenerationsResponse>>,
    pub watches: Mutex<VecDeque<Scripted<WatchGenerationResponse>>>,
    pub watches_of_many: Mutex<VecDeque<Scripted<WatchGenerationsResponse>>>,
    /// The steps for calls of all other services, in order of arrival; a unary call gets one message.
    pub others: Mutex<VecDeque<Scripted<Vec<u8>>>>,
    /// Notified when the caller leaves a stream with `End::Open`, or an upload.
    pub left: Notify,
    /// Notified when a chunk of an upload arrives.
    pub chunk: Notify,
    /// Notified when a call arrives that gets no response.
    pub waiting: Notify,
    pub timers: Mutex<Option<ManualTimers>>,
    connections: Mutex<JoinSet<()>>,
}

/// Stops listening and cuts all connections when it is dropped.
pub struct Gateway {
    pub state: Arc<State>,
    address: SocketAddr,
    listens: tokio::task::JoinHandle<()>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.listens.abort();
        self.cut();
    }
}

impl Gateway {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let listens = tokio::spawn(accept(listener, state.clone()));
        Self { state, address, listens }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn builder(&self) -> Builder {
        Client::builder(self.address.to_string())
    }

    /// Returns a client with this clock.
    pub fn client(&self, timers: &ManualTimers) -> Client {
        self.client_with(timers, RetryPolicy::default())
    }

    pub fn client_with(&self, timers: &ManualTimers, policy: RetryPolicy) -> Client {
        *self.state.timers.lock().unwrap() = Some(timers.clone());
        self.builder().timers(timers.clone()).retry(policy).build().unwrap()
    }

    /// Cuts every connection.
    pub fn cut(&self) {
        self.state.connections.lock().unwrap().abort_all();
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Sets the next response of submit, get and wait.
    pub fn answers(&self, generation: Generation) -> &Self {
        self.turn(Turn::Answer(generation))
    }

    pub fn fails(&self, status: Status) -> &Self {
        self.turn(Turn::Error(status, 0.0))
    }

    pub fn turn(&self, turn: Turn<Generation>) -> &Self {
        self.state.generations.lock().unwrap().push_back(turn);
        self
    }

    pub fn streams(&self, messages: Vec<WatchGenerationResponse>, end: End) -> &Self {
        self.state.watches.lock().unwrap().push_back(Scripted { messages, end });
        self
    }

    pub fn streams_of_many(&self, messages: Vec<WatchGenerationsResponse>, end: End) -> &Self {
        self.state.watches_of_many.lock().unwrap().push_back(Scripted { messages, end });
        self
    }

    /// Sets the messages and the end of the next call of another service.
    pub fn plays<M: Message>(&self, messages: impl IntoIterator<Item = M>, end: End) -> &Self {
        let messages = messages.into_iter().map(|message| message.encode_to_vec()).collect();
        self.state.others.lock().unwrap().push_back(Scripted { messages, end });
        self
    }

    /// Sets one message as the response of the next call of another service.
    pub fn responds(&self, response: impl Message) -> &Self {
        self.plays([response], End::Ok)
    }

    /// Sets the error of the next call of another service.
    pub fn refuses(&self, status: Status) -> &Self {
        self.plays::<()>([], End::Error(status))
    }

    /// Returns whether all steps were used.
    pub fn is_through(&self) -> bool {
        self.state.generations.lock().unwrap().is_empty()
            && self.state.watches.lock().unwrap().is_empty()
            && self.state.watches_of_many.lock().unwrap().is_empty()
            && self.state.others.lock().unwrap().is_empty()
    }
}

/// Returns the gateway's error with a reason, or an error of the transport if the reason is empty.
pub fn status(code: Code, reason: &str, retry_delay: Option<f64>) -> Status {
    if reason.is_empty() && retry_delay.is_none() {
        return Status::new(code, "no words");
    }
    let delay = retry_delay.map(|seconds| std::time::Duration::from_secs_f64(seconds).try_into().unwrap());
    status_after(code, reason, delay)
}

/// Returns the gateway's error with a retry delay, which may be one that a `Duration` of Rust cannot have.
pub fn status_after(code: Code, reason: &str, retry_delay: Option<prost_types::Duration>) -> Status {
    let number = ErrorReason::from_str_name(&format!("ERROR_REASON_{reason}")).unwrap_or_default();
    let failure = Failure { reason: number.into(), message: "in words".to_owned(), retry_delay, ..Default::default() };
    let info = pb::ErrorInfo { reason: reason.to_owned(), domain: "hfgateway".to_owned(), ..Default::default() };
    let details = vec![packed("hfgateway.v1.Failure", &failure), packed("google.rpc.ErrorInfo", &info)];
    let details = pb::Status { code: code.into(), message: "in words".to_owned(), details }.encode_to_vec();
    Status::with_details(code, "in words", details.into())
}

fn packed(name: &str, message: &impl Message) -> Any {
    Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let services = Services(state.clone());
        let serves = http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service_fn(move |request| services.clone().serve(request)));
        state.connections.lock().unwrap().spawn(async move {
            // Errors of connections are expected.
            let _ = serves.await;
        });
    }
}

#[derive(Clone)]
struct Services(Arc<State>);

impl Services {
    async fn serve(self, request: http::Request<Incoming>) -> Result<http::Response<tonic::body::Body>, Infallible> {
        *self.0.headers.lock().unwrap() = request.headers().clone();
        let path = request.uri().path().to_owned();
        let (service, method) = path[1..].split_once('/').expect("a method's path");
        match service {
            "hfgateway.v1.GenerationService" => GenerationServiceServer::new(self).call(request).await,
            "hfgateway.v1.TokenService" => TokenServiceServer::new(self).call(request).await,
            "hfgateway.v1.UploadService" => UploadServiceServer::new(self).call(request).await,
            _ => {
                let other = Other { services: self, method: method.to_owned() };
                Ok(tonic::server::Grpc::new(Bytes).server_streaming(other, request).await)
            }
        }
    }

    fn saw(&self, request: Seen) {
        self.0.seen.lock().unwrap().push(request);
    }

    async fn next(&self) -> Result<Generation, Status> {
        let turn = self.0.generations.lock().unwrap().pop_front();
        match turn.unwrap_or_else(|| Turn::Error(Status::data_loss("nothing was scripted"), 0.0)) {
            Turn::Answer(generation) => Ok(generation),
            Turn::Error(status, takes) => {
                if let Some(timers) = &*self.0.timers.lock().unwrap() {
                    timers.advance(takes);
                }
                Err(status)
            }
            Turn::Silence => {
                self.0.waiting.notify_one();
                std::future::pending().await
            }
        }
    }

    fn stream<M: Send + 'static>(&self, script: Option<Scripted<M>>) -> Result<Response<Messages<M>>, Status> {
        let Some(Scripted { messages, end }) = script else {
            return Err(Status::data_loss("nothing was scripted"));
        };
        let items = tokio_stream::iter(messages.into_iter().map(Ok));
        Ok(Response::new(match end {
            End::Ok => Box::pin(items),
            End::Error(status) => Box::pin(items.chain(tokio_stream::once(Err(status)))),
            End::Open => {
                let left = Left(self.0.clone());
                Box::pin(items.chain(async_stream::stream! {
                    let _left = left;
                    std::future::pending::<()>().await;
                    yield Err(Status::data_loss("never comes"));
                }))
            }
        }))
    }
}

/// Notifies when it is dropped: the caller has left.
struct Left(Arc<State>);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.left.notify_one();
    }
}

/// A method of another service. A unary response is a stream of one message.
struct Other {
    services: Services,
    method: String,
}

impl ServerStreamingService<Vec<u8>> for Other {
    type Response = Vec<u8>;
    type ResponseStream = Messages<Vec<u8>>;
    type Future = std::future::Ready<Result<Response<Messages<Vec<u8>>>, Status>>;

    fn call(&mut self, request: Request<Vec<u8>>) -> Self::Future {
        self.services.saw(Seen::Other(self.method.clone(), request.into_inner()));
        let script = self.services.0.others.lock().unwrap().pop_front();
        std::future::ready(self.services.stream(script))
    }
}

/// A codec for encoded messages.
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut message = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut message);
        Ok(Some(message))
    }
}

type Messages<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

#[tonic::async_trait]
impl GenerationService for Services {
    type WatchGenerationStream = Messages<WatchGenerationResponse>;
    type WatchGenerationsStream = Messages<WatchGenerationsResponse>;

    async fn submit_generation(
        &self,
        request: Request<SubmitGenerationRequest>,
    ) -> Result<Response<SubmitGenerationResponse>, Status> {
        self.saw(Seen::Submit(request.into_inner()));
        Ok(Response::new(SubmitGenerationResponse {
            generation: Some(self.next().await?),
            warnings: vec![FieldViolation { field: "input".to_owned(), ..Default::default() }],
            ..Default::default()
        }))
    }

    async fn get_generation(
        &self,
        request: Request<GetGenerationRequest>,
    ) -> Result<Response<GetGenerationResponse>, Status> {
        self.saw(Seen::Get(request.into_inner()));
        Ok(Response::new(GetGenerationResponse { generation: Some(self.next().await?) }))
    }

    async fn list_generations(
        &self,
        request: Request<ListGenerationsRequest>,
    ) -> Result<Response<ListGenerationsResponse>, Status> {
        self.saw(Seen::List(request.into_inner()));
        Ok(Response::new(self.0.pages.lock().unwrap().pop_front().unwrap_or_default()))
    }

    async fn wait_generation(
        &self,
        request: Request<WaitGenerationRequest>,
    ) -> Result<Response<WaitGenerationResponse>, Status> {
        let request = request.into_inner();
        let asked = request.timeout.unwrap_or_default();
        self.saw(Seen::Wait(request));
        let generation = self.next().await?;
        if let (Some(timers), false) = (&*self.0.timers.lock().unwrap(), generation.done) {
            timers.advance(asked.seconds as f64);
        }
        Ok(Response::new(WaitGenerationResponse { generation: Some(generation) }))
    }

    async fn watch_generation(
        &self,
        request: Request<WatchGenerationRequest>,
    ) -> Result<Response<Self::WatchGenerationStream>, Status> {
        self.saw(Seen::Watch(request.into_inner()));
        self.stream(self.0.watches.lock().unwrap().pop_front())
    }

    async fn watch_generations(
        &self,
        request: Request<WatchGenerationsRequest>,
    ) -> Result<Response<Self::WatchGenerationsStream>, Status> {
        self.saw(Seen::WatchMany(request.into_inner()));
        self.stream(self.0.watches_of_many.lock().unwrap().pop_front())
    }

    async fn cancel_generation(
        &self,
        _: Request<CancelGenerationRequest>,
    ) -> Result<Response<CancelGenerationResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn adopt_generation(
        &self,
        _: Request<AdoptGenerationRequest>,
    ) -> Result<Response<AdoptGenerationResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn estimate_generation(
        &self,
        _: Request<EstimateGenerationRequest>,
    ) -> Result<Response<EstimateGenerationResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn delete_generation(
        &self,
        _: Request<DeleteGenerationRequest>,
    ) -> Result<Response<DeleteGenerationResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn explain_generation(
        &self,
        _: Request<ExplainGenerationRequest>,
    ) -> Result<Response<ExplainGenerationResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }
}

#[tonic::async_trait]
impl TokenService for Services {
    async fn create_watch_token(
        &self,
        request: Request<CreateWatchTokenRequest>,
    ) -> Result<Response<CreateWatchTokenResponse>, Status> {
        self.saw(Seen::Token(request.into_inner()));
        Ok(Response::new(CreateWatchTokenResponse { token: "hfw_1".to_owned(), expire_time: None }))
    }
}

#[tonic::async_trait]
impl UploadService for Services {
    async fn upload_media(
        &self,
        request: Request<Streaming<UploadMediaRequest>>,
    ) -> Result<Response<UploadMediaResponse>, Status> {
        let _left = Left(self.0.clone());
        let (sender, mut parts) = mpsc::unbounded_channel();
        let mut arriving = request.into_inner();
        let mut size = 0;
        while let Some(part) = arriving.next().await {
            let part = part?;
            if matches!(&part.part, Some(upload_media_request::Part::Chunk(_))) {
                self.0.chunk.notify_one();
            }
            sender.send(part).expect("it is read below");
        }
        drop(sender);
        while let Some(part) = parts.recv().await {
            if let Some(upload_media_request::Part::Chunk(chunk)) = &part.part {
                size += chunk.len() as i64;
            }
            self.saw(Seen::Upload(part));
        }
        Ok(Response::new(UploadMediaResponse { url: "http://127.0.0.1/1".to_owned(), size, expire_time: None }))
    }

    async fn create_upload(&self, _: Request<CreateUploadRequest>) -> Result<Response<CreateUploadResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }
}
