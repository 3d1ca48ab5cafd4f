package main

import (
	"slices"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

var faces = []string{"https://example.com/face-1.png", "https://example.com/face-2.png"}

// training creates a character.
func (t *trial) training() *hfgateway.Character {
	created, err := t.client.CreateCharacter(t.ctx, unique("Ann"), faces)
	return value[*hfgateway.CreatedCharacter](t)(created, err).Character
}

func createCharacter(t *trial) {
	name := unique("Ann")
	forSoul2 := func(r *hfgateway.CreateCharacterRequest) { r.Version = hfgateway.SoulV2 }
	first := value[*hfgateway.CreatedCharacter](t)(
		t.client.CreateCharacter(t.ctx, name, faces, forSoul2))
	t.check(first.Character.GetId() != "" && first.Character.GetName() == name && !first.Replayed, first)
	t.check(first.Character.GetVersion() == hfgateway.SoulV2 && !first.Character.GetDone(), first)
	key := func(r *hfgateway.CreateCharacterRequest) { r.IdempotencyKey = first.IdempotencyKey }
	second := value[*hfgateway.CreatedCharacter](t)(
		t.client.CreateCharacter(t.ctx, name, faces, forSoul2, key))
	t.check(second.Character.GetId() == first.Character.GetId() && second.Replayed, first, second)
	_, err := t.client.CreateCharacter(t.ctx, unique("Ben"), faces, forSoul2, key)
	failed := t.refused(err, hfgateway.ErrKeyReused, "IDEMPOTENCY_KEY_REUSED")
	t.check(failed.IdempotencyKey == first.IdempotencyKey, failed)
	t.check(t.ledger(name).Charges == 1, t.ledger(name))
}

func getCharacter(t *trial) {
	made := t.training()
	request := &pb.GetCharacterRequest{Id: made.GetId()}
	found := value[*pb.GetCharacterResponse](t)(t.client.Characters.GetCharacter(t.ctx, request)).GetCharacter()
	t.check(found.GetId() == made.GetId() && found.GetName() == made.GetName(), found)
	_, err := t.client.Characters.GetCharacter(t.ctx, &pb.GetCharacterRequest{Id: hfgateway.NewIdempotencyKey()})
	t.refused(err, hfgateway.ErrNotFound, "NOT_FOUND")
	other := t.another(t.address, t.otherAPIKey)
	defer other.Close()
	_, err = other.Characters.GetCharacter(t.ctx, request)
	t.refused(err, hfgateway.ErrNotFound, "NOT_FOUND")
}

func listCharacters(t *trial) {
	t.advance(1) // Higgsfield does not order characters created at the same time
	first := t.training().GetId()
	t.advance(1)
	second := t.training().GetId()
	found := idsOf(t, t.client.ListCharacters(t.ctx, &pb.ListCharactersRequest{PageSize: 1}))
	t.check(slices.Equal(found[:2], []string{second, first}), found, first, second)
}

func watchCharacter(t *trial) {
	watch := read(t, t.client.WatchCharacter(t.ctx, t.training().GetId()))
	defer watch.stop()
	present := watch.until(func(*hfgateway.Character) bool { return true })
	t.check(present.GetState() < hfgateway.CharacterInProgress && !present.GetDone(), present)
	t.advance(1.5)
	watch.until(func(one *hfgateway.Character) bool { return one.GetState() == hfgateway.CharacterInProgress })
	t.advance(3600)
	seen := watch.rest()
	t.check(slices.IsSortedFunc(seen, func(a, b *hfgateway.Character) int {
		return int(a.GetState() - b.GetState())
	}), seen)
	last := seen[len(seen)-1]
	t.check(last.GetState() == hfgateway.CharacterCompleted && last.GetDone(), last)
}

func deleteCharacter(t *trial) {
	id := t.training().GetId()
	for range 2 {
		request := &pb.DeleteCharacterRequest{Id: id}
		value[*pb.DeleteCharacterResponse](t)(t.client.Characters.DeleteCharacter(t.ctx, request))
		_, err := t.client.Characters.GetCharacter(t.ctx, &pb.GetCharacterRequest{Id: id})
		t.refused(err, hfgateway.ErrNotFound, "NOT_FOUND")
	}
}
