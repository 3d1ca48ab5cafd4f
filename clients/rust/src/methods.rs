//! The methods that make one call, and the lists, whose pages are fetched on demand.

use crate::{
    calls::rpc,
    client::Client,
    error::Error,
    inputs::made_of_text,
    v1::{
        callback_service_client::CallbackServiceClient, catalog_service_client::CatalogServiceClient,
        character_service_client::CharacterServiceClient, generation_service_client::GenerationServiceClient,
        token_service_client::TokenServiceClient, upload_service_client::UploadServiceClient, *,
    },
    watching::BoxStream,
};

/// `name(Request) -> Result = Stub.method.field` is a method that returns the field of the response, or the response if
/// no field is named. With `Request.field`, a text converts into the request.
macro_rules! methods {
    ($(
        $(#[$doc:meta])*
        $name:ident($request:ident$(.$text:ident)?) -> $result:ty = $stub:ident.$rpc:ident$(.$field:ident)?;
    )*) => {
        $($(made_of_text!($request.$text);)?)*
        impl Client {$(
            $(#[$doc])*
            pub async fn $name(&self, request: impl Into<$request>) -> Result<$result, Error> {
                let response = self.calls.unary(request.into(), self.calls.timeout, rpc!($stub.$rpc)).await?;
                Ok(methods!(response $($field)?))
            }
        )*}
    };
    ($response:ident) => { $response };
    ($response:ident $field:ident) => { $response.$field.unwrap_or_default() };
}

/// `name(Request) -> Item = Stub.method: Response.field` is a method that streams the items in the field of all pages.
macro_rules! lists {
    ($(
        $(#[$doc:meta])*
        $name:ident($request:ident$(.$text:ident)?) -> $item:ty = $stub:ident.$rpc:ident: $page:ident.$items:ident;
    )*) => {
        $($(made_of_text!($request.$text);)?)*
        impl Client {$(
            $(#[$doc])*
            pub fn $name(&self, request: impl Into<$request>) -> BoxStream<$item> {
                let open = |page: $page| (page.$items, page.next_page_token);
                self.calls.pages(request.into(), rpc!($stub.$rpc), open, |query, token| query.page_token = token)
            }
        )*}
    };
}

methods! {
    /// Adopts a request that was made without this gateway, by its id at Higgsfield.
    ///
    /// From then on it is a generation like any other; nothing is submitted or charged. Adopting it again returns the
    /// same generation. [`Kind::NotFound`](crate::Kind) if Higgsfield knows no such request of the gateway's account, or
    /// another tenant has it.
    adopt(AdoptGenerationRequest.upstream_request_id) -> AdoptGenerationResponse = GenerationServiceClient.adopt_generation;

    /// Returns the generation as it is now, with its input. [`Kind::NotFound`](crate::Kind) if the tenant has none with
    /// this id.
    get(GetGenerationRequest.id) -> Generation = GenerationServiceClient.get_generation.generation;

    /// Cancels the generation and returns it. [`Kind::NotCancelable`](crate::Kind) if it is too late to cancel.
    cancel(CancelGenerationRequest.id) -> Generation = GenerationServiceClient.cancel_generation.generation;

    /// Returns the price of an input, and validates it as `submit` does. Charges nothing.
    estimate(EstimateGenerationRequest) -> EstimateGenerationResponse = GenerationServiceClient.estimate_generation;

    /// Deletes a generation that has ended. [`Kind::NotDone`](crate::Kind) if it has not ended.
    delete(DeleteGenerationRequest.id) -> DeleteGenerationResponse = GenerationServiceClient.delete_generation;

    /// Returns the history of the generation, oldest event first: every change, and every call to Higgsfield.
    explain(ExplainGenerationRequest.id) -> ExplainGenerationResponse = GenerationServiceClient.explain_generation;

    /// Returns a URL to PUT media to, and the headers to send, for uploads that do not pass through the gateway. Takes a
    /// content type such as "image/png".
    create_upload(CreateUploadRequest.content_type) -> CreateUploadResponse = UploadServiceClient.create_upload;

    /// Creates a token with which a browser can watch the matching generations, and nothing else. Takes a filter with ids
    /// or labels, or a request.
    create_watch_token(CreateWatchTokenRequest) -> CreateWatchTokenResponse = TokenServiceClient.create_watch_token;

    /// Returns a model, with the JSON Schema of its parameters if it is known. [`Kind::ModelUnknown`](crate::Kind) if the
    /// catalog does not have it; a submission to it may still succeed.
    get_model(GetModelRequest.id) -> Model = CatalogServiceClient.get_model.model;

    /// Returns the character as it is now. [`Kind::NotFound`](crate::Kind) if it does not exist.
    get_character(GetCharacterRequest.id) -> SoulCharacter = CharacterServiceClient.get_character.character;

    /// Deletes the character at Higgsfield. Deleting a deleted character succeeds.
    delete_character(DeleteCharacterRequest.id) -> DeleteCharacterResponse = CharacterServiceClient.delete_character;

    /// Returns the callback as it is now. [`Kind::NotFound`](crate::Kind) if it does not exist.
    get_callback(GetCallbackRequest.id) -> Callback = CallbackServiceClient.get_callback.callback;

    /// Changes the fields that are set in the request, and returns the callback.
    update_callback(UpdateCallbackRequest) -> Callback = CallbackServiceClient.update_callback.callback;

    /// Deletes the callback, its deliveries and its secrets. Deleting a deleted callback succeeds.
    delete_callback(DeleteCallbackRequest.id) -> DeleteCallbackResponse = CallbackServiceClient.delete_callback;

    /// Creates a new secret.
    ///
    /// Deliveries are also signed with the earlier ones for 24 hours, until the callback's `old_secrets_expire_time`.
    /// [`Kind::QuotaExceeded`](crate::Kind) if four secrets are active.
    rotate_callback_secret(RotateCallbackSecretRequest.id) -> RotateCallbackSecretResponse
        = CallbackServiceClient.rotate_callback_secret;

    /// Sends a delivery of type "callback.test" now, and returns its outcome. A failed delivery is not an error.
    test_callback(TestCallbackRequest.id) -> Delivery = CallbackServiceClient.test_callback.delivery;

    /// Repeats a delivery, with the same id and a new series of attempts.
    redeliver(RedeliverDeliveryRequest.id) -> Delivery = CallbackServiceClient.redeliver_delivery.delivery;
}

lists! {
    /// Streams the generations that match a filter, newest first.
    list(ListGenerationsRequest) -> Generation
        = GenerationServiceClient.list_generations: ListGenerationsResponse.generations;

    /// Streams the models that match. `ListModelsRequest::default()` matches all.
    list_models(ListModelsRequest) -> Model = CatalogServiceClient.list_models: ListModelsResponse.models;

    /// Streams the motions for [`dop`](crate::dop) that match.
    list_motions(ListMotionsRequest) -> Motion = CatalogServiceClient.list_motions: ListMotionsResponse.motions;

    /// Streams the styles for [`soul`](crate::soul) that match. Takes a version of Soul, or a request.
    list_soul_styles(ListSoulStylesRequest) -> SoulStyle
        = CatalogServiceClient.list_soul_styles: ListSoulStylesResponse.soul_styles;

    /// Streams the presets of a model. Takes the id of the model, or a request.
    list_presets(ListPresetsRequest.model_id) -> Preset = CatalogServiceClient.list_presets: ListPresetsResponse.presets;

    /// Streams all characters, newest first.
    list_characters(ListCharactersRequest) -> SoulCharacter
        = CharacterServiceClient.list_characters: ListCharactersResponse.characters;

    /// Streams all callbacks, newest first.
    list_callbacks(ListCallbacksRequest) -> Callback
        = CallbackServiceClient.list_callbacks: ListCallbacksResponse.callbacks;

    /// Streams the deliveries of a callback, newest first: those that are pending, and recent ones that were delivered
    /// or failed. Takes the callback's id, or a request.
    list_deliveries(ListDeliveriesRequest.callback_id) -> Delivery
        = CallbackServiceClient.list_deliveries: ListDeliveriesResponse.deliveries;
}
