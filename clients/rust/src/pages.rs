//! Lists that are fetched page by page, as they are read.

use async_stream::stream;
use tonic::{Request, Response, Status, transport::Channel};

use crate::{
    calls::Calls,
    v1::{
        Callback, Delivery, Generation, ListCallbacksRequest, ListCallbacksResponse, ListCharactersRequest,
        ListCharactersResponse, ListDeliveriesRequest, ListDeliveriesResponse, ListGenerationsRequest,
        ListGenerationsResponse, ListModelsRequest, ListModelsResponse, ListMotionsRequest, ListMotionsResponse,
        ListPresetsRequest, ListPresetsResponse, ListSoulStylesRequest, ListSoulStylesResponse, Model, Motion, Preset,
        SoulCharacter, SoulStyle,
    },
    watching::BoxStream,
};

/// A request that is answered with one page of what it asks for.
pub(crate) trait Paged: Clone + Send + Sync + 'static {
    type Page: Send;
    type Item: Send;

    /// The same, for the page with that token.
    fn turn(&mut self, token: String);

    /// What a page holds, and the token of the next: "" where there is none.
    fn open(page: Self::Page) -> (Vec<Self::Item>, String);
}

macro_rules! paged {
    ($($request:ident => $page:ident.$items:ident: $item:ident),* $(,)?) => {$(
        impl Paged for $request {
            type Page = $page;
            type Item = $item;

            fn turn(&mut self, token: String) {
                self.page_token = token;
            }

            fn open(page: $page) -> (Vec<$item>, String) {
                (page.$items, page.next_page_token)
            }
        }
    )*};
}
paged!(
    ListGenerationsRequest => ListGenerationsResponse.generations: Generation,
    ListModelsRequest => ListModelsResponse.models: Model,
    ListMotionsRequest => ListMotionsResponse.motions: Motion,
    ListSoulStylesRequest => ListSoulStylesResponse.soul_styles: SoulStyle,
    ListPresetsRequest => ListPresetsResponse.presets: Preset,
    ListCharactersRequest => ListCharactersResponse.characters: SoulCharacter,
    ListCallbacksRequest => ListCallbacksResponse.callbacks: Callback,
    ListDeliveriesRequest => ListDeliveriesResponse.deliveries: Delivery,
);

/// All that a request asks for; a page is fetched when it is needed.
pub(crate) fn pages<Q, F>(
    calls: &Calls,
    mut request: Q,
    call: impl Fn(Channel, Request<Q>) -> F + Copy + Send + Sync + 'static,
) -> BoxStream<Q::Item>
where
    Q: Paged,
    F: Future<Output = Result<Response<Q::Page>, Status>> + Send,
{
    let calls = calls.clone();
    Box::pin(stream! {
        loop {
            match calls.unary(request.clone(), calls.timeout, call).await {
                Ok(page) => {
                    let (items, next) = Q::open(page);
                    for item in items {
                        yield Ok(item);
                    }
                    if next.is_empty() {
                        return;
                    }
                    request.turn(next);
                }
                Err(error) => {
                    yield Err(error);
                    return;
                }
            }
        }
    })
}
