//! Paged lists, whose pages are fetched on demand.

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

/// The request of a paged list.
pub(crate) trait Paged: Clone + Send + Sync + 'static {
    type Page: Send;
    type Item: Send;

    /// Sets the page token.
    fn turn(&mut self, token: String);

    /// Returns the items of a page and the token of the next one, which is empty after the last page.
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

/// Streams the items of all pages. Fetches each page when it is needed.
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
