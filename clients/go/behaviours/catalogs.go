package main

import (
	"iter"
	"slices"
	"strings"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

func listModels(t *trial) {
	found := idsOf(t, t.client.ListModels(t.ctx, &pb.ListModelsRequest{PageSize: 7}))
	t.check(len(found) > 7, "too few for a second page", found)
	souls := slices.DeleteFunc(slices.Clone(found), func(id string) bool {
		return !strings.Contains(strings.ToLower(id), "soul")
	})
	t.check(len(souls) > 0 && len(souls) < len(found), souls)
	for _, query := range []string{"soul", "SOUL"} {
		narrowed := idsOf(t, t.client.ListModels(t.ctx, &pb.ListModelsRequest{Query: query}))
		t.check(slices.Equal(narrowed, souls), query, narrowed, souls)
	}
}

func getModel(t *trial) {
	const id = "higgsfield-ai/soul/v2/standard"
	found := value[*pb.GetModelResponse](t)(t.client.Catalogs.GetModel(t.ctx, &pb.GetModelRequest{Id: id})).GetModel()
	t.check(found.GetId() == id && takes(found, "prompt"), found)
	unknown := &pb.GetModelRequest{Id: "unknown/" + hfgateway.NewIdempotencyKey()}
	_, err := t.client.Catalogs.GetModel(t.ctx, unknown)
	t.refused(err, hfgateway.ErrModelUnknown, "MODEL_UNKNOWN")
}

func watchModels(t *trial) {
	before := int64(-1)
	for _, err := range t.client.WatchModels(t.ctx, &pb.WatchModelsRequest{AfterRevision: &before}) {
		t.refused(err, hfgateway.ErrInvalidInput, "INVALID_INPUT")
		return
	}
	t.failf("a negative revision is no error")
}

func listMotions(t *trial) {
	all := read(t, t.client.ListMotions(t.ctx, nil)).rest()
	t.check(len(all) > 1, all)
	for _, one := range all {
		t.check(one.GetId() != "" && one.GetName() != "" && strings.HasPrefix(one.GetPreviewUrl(), "http"), one)
	}
	name := all[0].GetName()
	narrowed := read(t, t.client.ListMotions(t.ctx, &pb.ListMotionsRequest{Query: strings.ToUpper(name)})).rest()
	t.check(len(narrowed) > 0 && len(narrowed) < len(all), name, narrowed)
	for _, one := range narrowed {
		t.check(strings.Contains(strings.ToLower(one.GetName()), strings.ToLower(name)), one)
	}
}

func listSoulStyles(t *trial) {
	first := idsOf(t, t.client.ListSoulStyles(t.ctx, &pb.ListSoulStylesRequest{Version: hfgateway.SoulV1}))
	second := idsOf(t, t.client.ListSoulStyles(t.ctx, &pb.ListSoulStylesRequest{Version: hfgateway.SoulV2}))
	t.check(len(first) > 0 && len(second) > 0 && !slices.Equal(first, second), first, second)
}

func listPresets(t *trial) {
	styled := read(t, t.client.ListModels(t.ctx, &pb.ListModelsRequest{IncludeSchema: true}))
	defer styled.stop()
	model := styled.until(func(one *pb.Model) bool { return takes(one, "preset_id") }).GetId()
	found := read(t, t.client.ListPresets(t.ctx, &pb.ListPresetsRequest{ModelId: model})).rest()
	t.check(len(found) > 0 && found[0].GetId() != "" && found[0].GetName() != "", model, found)
	unknown := &pb.ListPresetsRequest{ModelId: "unknown/" + hfgateway.NewIdempotencyKey()}
	for _, err := range t.client.ListPresets(t.ctx, unknown) {
		t.refused(err, hfgateway.ErrModelUnknown, "MODEL_UNKNOWN")
		return
	}
	t.failf("an unknown model has no presets, and that is no error")
}

// takes returns whether a model's schema has the parameter.
func takes(model *pb.Model, parameter string) bool {
	properties := model.GetParametersSchema().GetFields()["properties"].GetStructValue()
	return properties.GetFields()[parameter] != nil
}

// idsOf returns the ids of a sequence, which must be unique.
func idsOf[Item interface{ GetId() string }](t *trial, items iter.Seq2[Item, error]) (found []string) {
	for item, err := range items {
		id := value[Item](t)(item, err).GetId()
		t.check(id != "" && !slices.Contains(found, id), "id is empty or duplicated", id)
		found = append(found, id)
	}
	return found
}
