package hfgateway

import (
	"cmp"
	"context"
	"iter"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// All lists are sequences that fetch pages on demand, and end after an error. A query says what to list, and the page
// size; nil lists everything. Page tokens in queries are ignored.

// List yields the generations that match the filter, newest first. A nil filter matches all.
func (c *Client) List(ctx context.Context, filter *Filter, set ...func(*ListRequest)) iter.Seq2[*Generation, error] {
	request := with(&ListRequest{Filter: cmp.Or(filter, &Filter{})}, set)
	return pages(ctx, c.Generations.ListGenerations, request, (*pb.ListGenerationsResponse).GetGenerations)
}

// ListModels yields the models of the catalog.
func (c *Client) ListModels(ctx context.Context, query *pb.ListModelsRequest) iter.Seq2[*pb.Model, error] {
	return pages(ctx, c.Catalogs.ListModels, query, (*pb.ListModelsResponse).GetModels)
}

// ListMotions yields the motions for [Dop].
func (c *Client) ListMotions(ctx context.Context, query *pb.ListMotionsRequest) iter.Seq2[*pb.Motion, error] {
	return pages(ctx, c.Catalogs.ListMotions, query, (*pb.ListMotionsResponse).GetMotions)
}

// ListSoulStyles yields the styles for [Soul].
func (c *Client) ListSoulStyles(ctx context.Context, query *pb.ListSoulStylesRequest) iter.Seq2[*pb.SoulStyle, error] {
	return pages(ctx, c.Catalogs.ListSoulStyles, query, (*pb.ListSoulStylesResponse).GetSoulStyles)
}

// ListPresets yields the presets of a model, which the query must name.
func (c *Client) ListPresets(ctx context.Context, query *pb.ListPresetsRequest) iter.Seq2[*pb.Preset, error] {
	return pages(ctx, c.Catalogs.ListPresets, query, (*pb.ListPresetsResponse).GetPresets)
}

// ListCharacters yields all characters, newest first.
func (c *Client) ListCharacters(ctx context.Context, query *pb.ListCharactersRequest) iter.Seq2[*pb.SoulCharacter, error] {
	return pages(ctx, c.Characters.ListCharacters, query, (*pb.ListCharactersResponse).GetCharacters)
}

// ListCallbacks yields all callbacks, newest first.
func (c *Client) ListCallbacks(ctx context.Context, query *pb.ListCallbacksRequest) iter.Seq2[*pb.Callback, error] {
	return pages(ctx, c.Callbacks.ListCallbacks, query, (*pb.ListCallbacksResponse).GetCallbacks)
}

// ListDeliveries yields the deliveries of a callback, which the query must name, newest first.
func (c *Client) ListDeliveries(ctx context.Context, query *pb.ListDeliveriesRequest) iter.Seq2[*pb.Delivery, error] {
	return pages(ctx, c.Callbacks.ListDeliveries, query, (*pb.ListDeliveriesResponse).GetDeliveries)
}
