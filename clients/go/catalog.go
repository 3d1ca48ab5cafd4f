package hfgateway

import (
	"context"
	"iter"

	"google.golang.org/protobuf/proto"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// Queries of the catalogs: what to list, and the page size. A nil query lists everything. Page tokens in queries are
// ignored.
type (
	ModelQuery     = pb.ListModelsRequest
	MotionQuery    = pb.ListMotionsRequest
	SoulStyleQuery = pb.ListSoulStylesRequest
	PresetQuery    = pb.ListPresetsRequest
)

// Watches of the list of models: where to start, and a change.
type (
	ModelWatch  = pb.WatchModelsRequest
	ModelChange = pb.WatchModelsResponse
)

// ListModels yields the models of the catalog that match the query. It fetches pages on demand and ends after an error.
func (c *Client) ListModels(ctx context.Context, query *ModelQuery) iter.Seq2[*CatalogModel, error] {
	return pages(ctx, c.Catalogs.ListModels, query, (*pb.ListModelsResponse).GetModels)
}

// GetModel returns a model of the catalog, with the JSON Schema of its parameters if it is known. It returns
// [ErrModelUnknown] if the catalog does not have the model; a submission to that model may still succeed.
func (c *Client) GetModel(ctx context.Context, id string) (*CatalogModel, error) {
	response, err := c.Catalogs.GetModel(ctx, &pb.GetModelRequest{Id: id})
	return response.GetModel(), err
}

// WatchModels yields changes of Higgsfield's list of models: models that are new, changed or gone. It starts after the
// change with the revision of the request; 0 is before the first change, and a nil request or revision yields only future
// changes. It opens the stream again if it breaks, and ends after an error.
func (c *Client) WatchModels(ctx context.Context, request *ModelWatch) iter.Seq2[*ModelChange, error] {
	return watch(ctx, c.calls, c.Catalogs.WatchModels, func() (*ModelWatch, func(*ModelChange) ([]*ModelChange, bool)) {
		next := &ModelWatch{}
		proto.Merge(next, request)
		return next, func(change *ModelChange) ([]*ModelChange, bool) {
			next.AfterRevision = proto.Int64(change.GetRevision())
			if change.GetModel() == nil {
				return nil, true
			}
			return []*ModelChange{change}, true
		}
	})
}

// ListMotions yields the motions for [Dop] that match the query. It fetches pages on demand and ends after an error.
func (c *Client) ListMotions(ctx context.Context, query *MotionQuery) iter.Seq2[*Motion, error] {
	return pages(ctx, c.Catalogs.ListMotions, query, (*pb.ListMotionsResponse).GetMotions)
}

// ListSoulStyles yields the styles for [Soul] that match the query. It fetches pages on demand and ends after an error.
func (c *Client) ListSoulStyles(ctx context.Context, query *SoulStyleQuery) iter.Seq2[*SoulStyle, error] {
	return pages(ctx, c.Catalogs.ListSoulStyles, query, (*pb.ListSoulStylesResponse).GetSoulStyles)
}

// ListPresets yields the presets that match the query, which must name a model. It fetches pages on demand and ends
// after an error.
func (c *Client) ListPresets(ctx context.Context, query *PresetQuery) iter.Seq2[*Preset, error] {
	return pages(ctx, c.Catalogs.ListPresets, query, (*pb.ListPresetsResponse).GetPresets)
}
