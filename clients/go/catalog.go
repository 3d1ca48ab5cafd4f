package hfgateway

import (
	"context"
	"iter"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// What to list of a catalog, and how much at a time; nil is for all that there is. Page tokens are the sequence's own.
type (
	ModelQuery     = pb.ListModelsRequest
	MotionQuery    = pb.ListMotionsRequest
	SoulStyleQuery = pb.ListSoulStylesRequest
	PresetQuery    = pb.ListPresetsRequest
)

// ListModels yields all that match the query.
func (c *Client) ListModels(ctx context.Context, query *ModelQuery) iter.Seq2[*CatalogModel, error] {
	return sequence(func(token string) ([]*CatalogModel, string, error) {
		request := copyOf(query)
		request.PageToken = token
		page, err := unary(ctx, c, c.catalogs.ListModels, request, 0)
		return page.GetModels(), page.GetNextPageToken(), err
	})
}

// GetModel returns a model with the schema of its parameters, where that is known; [ErrModelUnknown] where the catalog does
// not have it, which does not say that a submission would be refused.
func (c *Client) GetModel(ctx context.Context, id string) (*CatalogModel, error) {
	response, err := unary(ctx, c, c.catalogs.GetModel, &pb.GetModelRequest{Id: id}, 0)
	return response.GetModel(), err
}

// ListMotions yields all that match the query, for [Dop].
func (c *Client) ListMotions(ctx context.Context, query *MotionQuery) iter.Seq2[*Motion, error] {
	return sequence(func(token string) ([]*Motion, string, error) {
		request := copyOf(query)
		request.PageToken = token
		page, err := unary(ctx, c, c.catalogs.ListMotions, request, 0)
		return page.GetMotions(), page.GetNextPageToken(), err
	})
}

// ListSoulStyles yields all that match the query, for [Soul].
func (c *Client) ListSoulStyles(ctx context.Context, query *SoulStyleQuery) iter.Seq2[*SoulStyle, error] {
	return sequence(func(token string) ([]*SoulStyle, string, error) {
		request := copyOf(query)
		request.PageToken = token
		page, err := unary(ctx, c, c.catalogs.ListSoulStyles, request, 0)
		return page.GetSoulStyles(), page.GetNextPageToken(), err
	})
}

// ListPresets yields those of the query's model that match it.
func (c *Client) ListPresets(ctx context.Context, query *PresetQuery) iter.Seq2[*Preset, error] {
	return sequence(func(token string) ([]*Preset, string, error) {
		request := copyOf(query)
		request.PageToken = token
		page, err := unary(ctx, c, c.catalogs.ListPresets, request, 0)
		return page.GetPresets(), page.GetNextPageToken(), err
	})
}
