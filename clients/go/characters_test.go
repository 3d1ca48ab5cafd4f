package hfgateway_test

import (
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
	agents "github.com/hfgateway/hfgateway/generated/go/hfgateway/agents/v1alpha1"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

var faces = []string{"https://example.com/1.png", "https://example.com/2.png"}

func character(state hfgateway.CharacterState) *hfgateway.Character {
	return &hfgateway.Character{Id: "c1", Name: "Ann", State: state, Done: state >= hfgateway.CharacterCompleted}
}

func training(state hfgateway.CharacterState) proto.Message {
	return &pb.WatchCharacterResponse{Character: character(state)}
}

func TestCreationRetriesLostResponseWithSameKey(t *testing.T) {
	g := newGateway(t)
	g.on("CreateCharacter", g.cutConnections,
		respond(&pb.CreateCharacterResponse{Character: character(hfgateway.CharacterNotReady), Replayed: true}))
	g.on("CreateCallback", g.cutConnections, respond(&pb.CreateCallbackResponse{Callback: &pb.Callback{Id: "b1"}, Replayed: true}))
	g.on("RotateCallbackSecret", respond(&pb.RotateCallbackSecretResponse{Secret: "whsec_2"}))
	client, _ := newClient(t, g.address())

	face, err := client.CreateCharacter(within(t), "Ann", faces, func(r *hfgateway.CreateCharacterRequest) { r.Version = hfgateway.SoulV2 })
	if err != nil || face.Character.GetId() != "c1" || !face.Replayed {
		t.Fatal(face, err)
	}
	hook, err := client.CreateCallback(within(t), "https://example.com/hook")
	if err != nil || hook.Callback.GetId() != "b1" || !hook.Replayed || hook.Secret != "whsec_2" {
		t.Fatal(hook, err)
	}

	if face.IdempotencyKey == "" || hook.IdempotencyKey == "" || face.IdempotencyKey == hook.IdempotencyKey {
		t.Errorf("keys %q and %q", face.IdempotencyKey, hook.IdempotencyKey)
	}
	for number := range 2 {
		want := &pb.CreateCharacterRequest{
			Name: "Ann", ImageUrls: faces, Version: hfgateway.SoulV2, IdempotencyKey: face.IdempotencyKey,
		}
		if got := g.received("CreateCharacter")[number].request; !proto.Equal(got, want) {
			t.Errorf("requests %v", got)
		}
		call := &pb.CreateCallbackRequest{Url: "https://example.com/hook", IdempotencyKey: hook.IdempotencyKey}
		if got := g.received("CreateCallback")[number].request; !proto.Equal(got, call) {
			t.Errorf("requests %v", got)
		}
	}
}

func TestErrorOfRefusedCreationHasKey(t *testing.T) {
	g := newGateway(t)
	reused := refuse(codes.FailedPrecondition, &pb.Failure{Reason: pb.ErrorReason_ERROR_REASON_IDEMPOTENCY_KEY_REUSED})
	g.on("CreateCharacter", reused, reused)
	g.on("CreateCallback", reused)
	client, _ := newClient(t, g.address())
	key := func(r *hfgateway.CreateCharacterRequest) { r.IdempotencyKey = "order-7" }

	_, created := client.CreateCharacter(within(t), "Ann", faces, key)
	_, trained := client.TrainCharacter(within(t), "Ann", faces, key)
	_, called := client.CreateCallback(within(t), "https://example.com/hook",
		func(r *hfgateway.CreateCallbackRequest) { r.IdempotencyKey = "order-7" })

	for name, err := range map[string]error{"create": created, "train": trained, "callback": called} {
		var failed *hfgateway.Error
		if !errors.Is(err, hfgateway.ErrKeyReused) || !errors.As(err, &failed) || failed.IdempotencyKey != "order-7" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWatchCharacterReopensAndRepeatsNoState(t *testing.T) {
	g := newGateway(t)
	g.on("WatchCharacter",
		sequence(respond(training(hfgateway.CharacterQueued), &pb.WatchCharacterResponse{}), hang),
		sequence(respond(training(hfgateway.CharacterQueued), training(hfgateway.CharacterInProgress)), draining(0)),
		sequence(respond(training(hfgateway.CharacterCompleted)), hang))
	client, clock := newClient(t, g.address())

	var seen []hfgateway.CharacterState
	for changed, err := range client.WatchCharacter(within(t), "c1") {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, changed.GetState())
		if len(seen) == 1 {
			g.cut()
		}
	}

	want := text([]hfgateway.CharacterState{
		hfgateway.CharacterQueued, hfgateway.CharacterInProgress, hfgateway.CharacterCompleted,
	})
	if text(seen) != want {
		t.Errorf("saw %v", seen)
	}
	if len(clock.slept) != 2 {
		t.Errorf("slept %v", clock.slept)
	}
	for _, received := range g.received("WatchCharacter") {
		if got := received.request; !proto.Equal(got, &pb.WatchCharacterRequest{Id: "c1"}) {
			t.Errorf("requests %v", got)
		}
	}
}

func TestWatchCharacterEndsWithPermanentError(t *testing.T) {
	g := newGateway(t)
	deleted := refuse(codes.NotFound, &pb.Failure{Reason: pb.ErrorReason_ERROR_REASON_NOT_FOUND})
	g.on("WatchCharacter", sequence(respond(training(hfgateway.CharacterQueued)), deleted))
	client, _ := newClient(t, g.address())

	var last error
	for _, last = range client.WatchCharacter(within(t), "c1") {
	}
	if !errors.Is(last, hfgateway.ErrNotFound) {
		t.Error(last)
	}
}

func TestTrainCharacterReturnsCharacterOrError(t *testing.T) {
	failed := character(hfgateway.CharacterFailed)
	failed.Failure = &pb.Failure{Reason: pb.ErrorReason_ERROR_REASON_INPUT_REFUSED, Message: "no face"}
	for _, try := range []struct {
		name    string
		created *hfgateway.Character
		watched []proto.Message
		message string
	}{
		{
			"to its end", character(hfgateway.CharacterNotReady),
			[]proto.Message{training(hfgateway.CharacterInProgress), training(hfgateway.CharacterCompleted)}, "",
		},
		{"of a key whose training has ended", character(hfgateway.CharacterCompleted), nil, ""},
		{
			"that fails", character(hfgateway.CharacterNotReady),
			[]proto.Message{&pb.WatchCharacterResponse{Character: failed}},
			"hfgateway: training of character c1: no face",
		},
		{
			"that had failed, unreachable says why", character(hfgateway.CharacterFailed), nil,
			"hfgateway: training of character c1: ended as FAILED",
		},
	} {
		t.Run(try.name, func(t *testing.T) {
			g := newGateway(t)
			g.on("CreateCharacter", respond(&pb.CreateCharacterResponse{Character: try.created}))
			if try.watched != nil {
				g.on("WatchCharacter", respond(try.watched...))
			}
			client, _ := newClient(t, g.address())

			trained, err := client.TrainCharacter(within(t), "Ann", faces,
				func(r *hfgateway.CreateCharacterRequest) { r.IdempotencyKey = "k" })

			if try.message == "" {
				if err != nil || trained.GetState() != hfgateway.CharacterCompleted {
					t.Fatal(trained, err)
				}
				return
			}
			var ended *hfgateway.TrainingError
			if !errors.Is(err, hfgateway.ErrTrainingFailed) || !errors.As(err, &ended) || err.Error() != try.message {
				t.Fatal(err)
			}
			if ended.Character.GetState() != hfgateway.CharacterFailed || ended.IdempotencyKey != "k" {
				t.Errorf("%+v", ended)
			}
		})
	}
}

func TestErrorOfBrokenTrainingWatchHasKey(t *testing.T) {
	g := newGateway(t)
	g.on("CreateCharacter", respond(&pb.CreateCharacterResponse{Character: character(hfgateway.CharacterQueued)}))
	g.on("WatchCharacter", refuse(codes.NotFound, &pb.Failure{Reason: pb.ErrorReason_ERROR_REASON_NOT_FOUND}))
	client, _ := newClient(t, g.address())

	_, err := client.TrainCharacter(within(t), "Ann", faces)

	var failed *hfgateway.Error
	if !errors.Is(err, hfgateway.ErrNotFound) || !errors.As(err, &failed) {
		t.Fatal(err)
	}
	if sent := requests[*pb.CreateCharacterRequest](g, "CreateCharacter")[0]; failed.IdempotencyKey != sent.GetIdempotencyKey() {
		t.Errorf("key %q", failed.IdempotencyKey)
	}
}

func TestListCharactersFetchesAllPages(t *testing.T) {
	g := newGateway(t)
	g.on("ListCharacters",
		respond(&pb.ListCharactersResponse{Characters: []*pb.SoulCharacter{{Id: "c2"}}, NextPageToken: "p2"}),
		respond(&pb.ListCharactersResponse{Characters: []*pb.SoulCharacter{{Id: "c1"}}}))
	client, _ := newClient(t, g.address())

	var seen []string
	for found, err := range client.ListCharacters(within(t), &pb.ListCharactersRequest{PageSize: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, found.GetId())
	}
	if text(seen) != "[c2 c1]" {
		t.Errorf("listed %v", seen)
	}
	if got := g.received("ListCharacters")[1].request; !proto.Equal(got, &pb.ListCharactersRequest{PageSize: 1, PageToken: "p2"}) {
		t.Errorf("requests %v", got)
	}
}

func TestAgentsStubUsesConnectionAndKey(t *testing.T) {
	g := newGateway(t)
	g.on("CreateSession", respond(&agents.CreateSessionResponse{Session: &agents.Session{Id: "s1"}}))
	client, _ := newClient(t, g.address(), hfgateway.WithAPIKey("hfg_test"))

	answer, err := client.Agents.CreateSession(within(t), &agents.CreateSessionRequest{IdempotencyKey: "k"})

	if err != nil || answer.GetSession().GetId() != "s1" {
		t.Fatal(answer, err)
	}
	if got := g.received("CreateSession")[0].metadata.Get("authorization"); text(got) != "[Bearer hfg_test]" {
		t.Errorf("authorization %q", got)
	}
}
