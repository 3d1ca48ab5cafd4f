package hfgateway_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// vectors reads a file of protos/vectors, which the clients of all languages share. It skips the test in a downloaded
// module, which does not contain the files.
func vectors[V any](t *testing.T, name string) (found V) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "protos", "vectors", name))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the vectors are only in the repository")
	}
	if err == nil {
		err = json.Unmarshal(text, &found)
	}
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// inSeconds is a duration in the vectors.
type inSeconds float64

func (s inSeconds) duration() time.Duration { return time.Duration(float64(s) * float64(time.Second)) }

func (s *inSeconds) message() *durationpb.Duration {
	if s == nil {
		return nil
	}
	return durationpb.New(s.duration())
}

// message parses a message of the API from protobuf's JSON.
func message[M any, P interface {
	*M
	proto.Message
}](t *testing.T, text json.RawMessage) P {
	t.Helper()
	read := P(new(M))
	if err := protojson.Unmarshal(text, read); err != nil {
		t.Fatal(err)
	}
	return read
}

// classes has the errors by their names in the vectors.
var classes = map[string]error{
	"GatewayError":               nil,
	"InvalidInput":               hfgateway.ErrInvalidInput,
	"InputRefused":               hfgateway.ErrInputRefused,
	"InvalidCredentials":         hfgateway.ErrInvalidCredentials,
	"NotAllowed":                 hfgateway.ErrNotAllowed,
	"FeatureNotEnabled":          hfgateway.ErrFeatureNotEnabled,
	"NotFound":                   hfgateway.ErrNotFound,
	"ModelUnknown":               hfgateway.ErrModelUnknown,
	"PreconditionFailed":         hfgateway.ErrPreconditionFailed,
	"ModelUnavailable":           hfgateway.ErrModelUnavailable,
	"KeyReused":                  hfgateway.ErrKeyReused,
	"NotCancelable":              hfgateway.ErrNotCancelable,
	"NotDone":                    hfgateway.ErrNotDone,
	"ResourceExhausted":          hfgateway.ErrResourceExhausted,
	"QuotaExceeded":              hfgateway.ErrQuotaExceeded,
	"BudgetExceeded":             hfgateway.ErrBudgetExceeded,
	"PriceUnknown":               hfgateway.ErrPriceUnknown,
	"InsufficientCredits":        hfgateway.ErrInsufficientCredits,
	"UpstreamSaturated":          hfgateway.ErrUpstreamSaturated,
	"GatewayOverloaded":          hfgateway.ErrGatewayOverloaded,
	"Unavailable":                hfgateway.ErrUnavailable,
	"UpstreamUnavailable":        hfgateway.ErrUpstreamUnavailable,
	"GatewayUnavailable":         hfgateway.ErrGatewayUnavailable,
	"InternalError":              hfgateway.ErrInternal,
	"UpstreamCredentialsRefused": hfgateway.ErrUpstreamCredentialsRefused,
	"Aborted":                    hfgateway.ErrAborted,
	"SubmissionUnresolved":       hfgateway.ErrSubmissionUnresolved,
	"SessionBusy":                hfgateway.ErrSessionBusy,
	"DeadlineExceeded":           hfgateway.ErrDeadlineExceeded,
	"GenerationFailed":           hfgateway.ErrGenerationFailed,
	"GenerationRefused":          hfgateway.ErrGenerationRefused,
	"GenerationModerated":        hfgateway.ErrGenerationModerated,
	"GenerationCanceled":         hfgateway.ErrGenerationCanceled,
	"GenerationLost":             hfgateway.ErrGenerationLost,
}

// isExactly fails the test unless err matches the named classes, and no others.
func isExactly(t *testing.T, err error, names ...string) {
	t.Helper()
	for name, class := range classes {
		if class != nil && errors.Is(err, class) != slices.Contains(names, name) {
			t.Errorf("%v: is %s is %t", err, name, errors.Is(err, class))
		}
	}
	for _, name := range names {
		if _, known := classes[name]; !known {
			t.Errorf("no class %s", name)
		}
	}
}

func TestVectorsOfFailedCalls(t *testing.T) {
	type expectation struct {
		Class       string
		ClassOfCode string `json:"class_of_code"`
		Reason      string
		Message     string
		Violations  []struct{ Field, Description string } `json:"field_violations"`
		Retryable   bool
		RetryDelay  inSeconds `json:"retry_delay"`
		Metadata    map[string]string
	}
	file := vectors[struct {
		Calls []struct {
			Name       string
			CodeNumber codes.Code `json:"code_number"`
			Message    string
			Details    string
			Expect     expectation
		}
	}](t, "errors.json")
	g := newGateway(t)
	client, _ := newClient(t, g.address(), hfgateway.WithRetryPolicy(hfgateway.RetryPolicy{RepeatCallsFor: -1}))
	for _, try := range file.Calls {
		t.Run(try.Name, func(t *testing.T) {
			details, err := base64.StdEncoding.DecodeString(try.Details)
			if err != nil {
				t.Fatal(err)
			}
			g.on("GetGeneration", func(received *call) error {
				if len(details) > 0 {
					received.stream.SetTrailer(metadata.Pairs("grpc-status-details-bin", string(details)))
				}
				return status.Error(try.CodeNumber, try.Message)
			})

			_, err = client.Get(within(t), "g1")

			var failed *hfgateway.Error
			if !errors.As(err, &failed) || failed.Code != try.CodeNumber || status.Code(err) != try.CodeNumber {
				t.Fatal(err)
			}
			isExactly(t, err, try.Expect.Class, try.Expect.ClassOfCode)
			got := expectation{
				Class: try.Expect.Class, ClassOfCode: try.Expect.ClassOfCode, Reason: failed.Reason,
				Message: failed.Message, Retryable: failed.Retryable,
				RetryDelay: inSeconds(failed.RetryDelay.Seconds()), Metadata: failed.Metadata,
			}
			for _, violation := range failed.FieldViolations {
				got.Violations = append(got.Violations,
					struct{ Field, Description string }{violation.GetField(), violation.GetDescription()})
			}
			if text(got) != text(try.Expect) {
				t.Errorf("%+v instead of %+v", got, try.Expect)
			}
		})
	}
}

func TestVectorsOfGenerationErrors(t *testing.T) {
	file := vectors[struct {
		Generations []struct {
			Name       string
			Generation json.RawMessage
			Expect     struct {
				Class, Reason, Message string
				Retryable              bool
				IdempotencyKey         string `json:"idempotency_key"`
			}
		}
	}](t, "errors.json")
	for _, try := range file.Generations {
		t.Run(try.Name, func(t *testing.T) {
			ended := message[pb.Generation](t, try.Generation)
			g := newGateway(t)
			g.on("SubmitGeneration", respond(&pb.SubmitGenerationResponse{Generation: ended}))
			client, _ := newClient(t, g.address())

			_, err := client.Generate(within(t), input, nil)

			var failed *hfgateway.GenerationError
			if !errors.As(err, &failed) || !proto.Equal(failed.Generation, ended) {
				t.Fatal(err)
			}
			isExactly(t, err, try.Expect.Class, "GenerationFailed")
			if failed.Reason != try.Expect.Reason || failed.Message != try.Expect.Message ||
				failed.Retryable != try.Expect.Retryable || failed.IdempotencyKey != try.Expect.IdempotencyKey {
				t.Errorf("%+v instead of %+v", failed, try.Expect)
			}
		})
	}
}

// refusal is an error in the vectors.
type refusal struct {
	Code       string
	Reason     string
	RetryDelay inSeconds `json:"retry_delay"`
}

// step returns a step that fails with the error: as the gateway does, or as the transport if it has no reason.
func (r *refusal) step(t *testing.T) step {
	t.Helper()
	var number codes.Code
	if err := number.UnmarshalJSON([]byte(`"` + r.Code + `"`)); err != nil {
		t.Fatal(err)
	}
	if r.Reason == "" {
		return func(*call) error { return status.Error(number, "away") }
	}
	failure := &pb.Failure{Message: "refused"}
	if r.RetryDelay > 0 {
		failure.RetryDelay = durationpb.New(r.RetryDelay.duration())
	}
	return refuseAs(number, r.Reason, failure)
}

func TestVectorsOfRetriedErrors(t *testing.T) {
	file := vectors[struct {
		Repeats []struct {
			refusal
			Repeated bool
		}
	}](t, "retries.json")
	g := newGateway(t)
	client, _ := newClient(t, g.address())
	for _, try := range file.Repeats {
		t.Run(try.Code+" "+try.Reason, func(t *testing.T) {
			before := len(g.received("GetGeneration"))
			g.on("GetGeneration", try.step(t))
			if try.Repeated {
				g.on("GetGeneration", respond(&pb.GetGenerationResponse{}))
			}

			_, err := client.Get(within(t), "g1")

			calls := len(g.received("GetGeneration")) - before
			if try.Repeated && (err != nil || calls != 2) {
				t.Errorf("%d calls, %v", calls, err)
			}
			var failed *hfgateway.Error
			if !try.Repeated && (!errors.As(err, &failed) || failed.Reason != try.Reason || calls != 1) {
				t.Errorf("%d calls, %v", calls, err)
			}
		})
	}
}

func TestVectorsOfDelays(t *testing.T) {
	file := vectors[struct {
		Delays []struct {
			Failures   int
			RetryDelay inSeconds `json:"retry_delay"`
			Chance     float64
			Delay      inSeconds
		}
	}](t, "retries.json")
	for _, try := range file.Delays {
		got := hfgateway.RetryPolicy{}.Delay(try.Failures, try.RetryDelay.duration(), try.Chance)
		if (got - try.Delay.duration()).Abs() > time.Millisecond {
			t.Errorf("%s for %+v", got, try)
		}
	}
}

func TestVectorsOfDefaults(t *testing.T) {
	file := vectors[struct {
		Defaults struct {
			FirstDelay       inSeconds `json:"first_delay"`
			MaxDelay         inSeconds `json:"max_delay"`
			CallTimeout      inSeconds `json:"call_timeout"`
			ResumeWatchesFor inSeconds `json:"resume_watches_for"`
		}
	}](t, "retries.json")
	want := file.Defaults
	policy, timeout := hfgateway.Defaults(t)
	if policy.FirstDelay != want.FirstDelay.duration() || policy.MaxDelay != want.MaxDelay.duration() ||
		policy.ResumeWatchesFor != want.ResumeWatchesFor.duration() || timeout != want.CallTimeout.duration() {
		t.Errorf("%+v and %s instead of %+v", policy, timeout, want)
	}
}

// outcome is the outcome of a call or a watch in the vectors.
type outcome struct {
	Slept   []inSeconds
	Outcome string
	Error   *int // the index of the attempt whose error is returned, if it is not the last
}

func (o outcome) compare(t *testing.T, slept []time.Duration, got string) {
	t.Helper()
	same := len(slept) == len(o.Slept) && got == o.Outcome
	for number := range slept {
		same = same && (slept[number]-o.Slept[number].duration()).Abs() < time.Millisecond
	}
	if !same {
		t.Errorf("slept %v, then %s, instead of %+v", slept, got, o)
	}
}

func TestVectorsOfRetriedCalls(t *testing.T) {
	file := vectors[struct {
		Calls []struct {
			Name     string
			Timeout  inSeconds
			Chance   float64
			Attempts []struct {
				Response bool
				Error    refusal
				Takes    inSeconds
			}
			Expect outcome
		}
	}](t, "retries.json")
	for _, try := range file.Calls {
		t.Run(try.Name, func(t *testing.T) {
			g := newGateway(t)
			client, clock := newClient(t, g.address(), hfgateway.WithTimeout(try.Timeout.duration()))
			clock.chance = try.Chance
			for _, attempt := range try.Attempts {
				end := respond(&pb.GetGenerationResponse{})
				if !attempt.Response {
					end = attempt.Error.step(t)
				}
				g.on("GetGeneration", func(received *call) error {
					clock.pass(attempt.Takes.duration())
					return end(received)
				})
			}

			_, err := client.Get(t.Context(), "g1")

			got := "response"
			if err != nil {
				got = "error"
				returned := len(try.Attempts) - 1
				if try.Expect.Error != nil {
					returned = *try.Expect.Error
				}
				reason := try.Attempts[returned].Error.Reason
				var failed *hfgateway.Error
				if !errors.As(err, &failed) || failed.Reason != reason {
					t.Errorf("%v, and not %q", err, reason)
				}
			}
			try.Expect.compare(t, clock.slept, got)
		})
	}
}

func TestVectorsOfResumedWatches(t *testing.T) {
	file := vectors[struct {
		Watches []struct {
			Name    string
			Chance  float64
			Streams []struct {
				Messages []string
				Error    *refusal
			}
			Expect outcome
		}
	}](t, "retries.json")
	for _, try := range file.Watches {
		t.Run(try.Name, func(t *testing.T) {
			g := newGateway(t)
			client, clock := newClient(t, g.address())
			clock.chance = try.Chance
			var revision int32
			for _, stream := range try.Streams {
				var messages []proto.Message
				for _, kind := range stream.Messages {
					switch kind {
					case "heartbeat":
						messages = append(messages, &pb.WatchGenerationResponse{})
						continue
					case "done":
						revision++
						messages = append(messages, change(hfgateway.StateCompleted, revision))
					case "change":
						revision++
						messages = append(messages, change(hfgateway.StateQueued, revision))
					default:
						t.Fatalf("a message of the kind %s", kind)
					}
				}
				end := respond()
				if stream.Error != nil {
					end = stream.Error.step(t)
				}
				g.on("WatchGeneration", sequence(respond(messages...), end))
			}

			var seen int32
			got := "end"
			for changed, err := range client.Watch(t.Context(), "g1") {
				if err != nil {
					got = "error"
				} else if seen++; changed.GetRevision() != seen {
					t.Errorf("revision %d instead of %d", changed.GetRevision(), seen)
				}
			}

			if seen != revision {
				t.Errorf("saw %d of %d", seen, revision)
			}
			try.Expect.compare(t, clock.slept, got)
		})
	}
}

// breaks is a step that breaks a stream.
func breaks(*call) error { return status.Error(codes.Unavailable, "away") }

func TestVectorsOfWatch(t *testing.T) {
	file := vectors[struct {
		Watches []struct {
			Name          string
			AfterRevision int32 `json:"after_revision"`
			Streams       []struct {
				AfterRevision int32 `json:"after_revision"`
				Messages      []json.RawMessage
				Delivered     []int32
				Ends          string
			}
		}
	}](t, "cursor.json")
	for _, try := range file.Watches {
		t.Run(try.Name, func(t *testing.T) {
			g := newGateway(t)
			client, _ := newClient(t, g.address())
			var want, opened, seen, asked []int32
			for _, stream := range try.Streams {
				var steps []step
				for _, text := range stream.Messages {
					steps = append(steps, respond(message[pb.WatchGenerationResponse](t, text)))
				}
				if stream.Ends == "breaks" {
					steps = append(steps, breaks)
				}
				g.on("WatchGeneration", sequence(steps...))
				want, opened = append(want, stream.Delivered...), append(opened, stream.AfterRevision)
			}

			after := func(r *hfgateway.WatchRequest) { r.AfterRevision = try.AfterRevision }
			for changed, err := range client.Watch(within(t), "g1", after) {
				if err != nil {
					t.Fatal(err)
				}
				seen = append(seen, changed.GetRevision())
			}

			for _, request := range requests[*pb.WatchGenerationRequest](g, "WatchGeneration") {
				asked = append(asked, request.GetAfterRevision())
			}
			if text(seen, asked) != text(want, opened) {
				t.Errorf("saw %v over streams after %v instead of %v after %v", seen, asked, want, opened)
			}
		})
	}
}

// event is an event in the vectors.
type event struct {
	Event       string
	ResumeToken string `json:"resume_token"`
	ID          string
	Revision    int32
	IDs         []string
	Progress    map[string]float64
}

func asEvent(received hfgateway.Event) event {
	made := event{ResumeToken: received.ResumeToken, IDs: received.Missing}
	switch {
	case received.Changed != nil:
		made.Event, made.ID, made.Revision = "changed", received.Changed.GetId(), received.Changed.GetRevision()
	case received.CaughtUp:
		made.Event = "caught_up"
	case received.Reset:
		made.Event = "reset"
	case received.Missing != nil:
		made.Event = "missing"
	case received.Forecasts != nil:
		made.Event, made.Progress = "forecasts", map[string]float64{}
		for id, forecast := range received.Forecasts {
			made.Progress[id] = forecast.GetProgress()
		}
	}
	return made
}

func TestVectorsOfWatchMany(t *testing.T) {
	file := vectors[struct {
		Cases []struct {
			Name        string
			ResumeToken string `json:"resume_token"`
			Streams     []struct {
				OpenedWith string `json:"opened_with"`
				Messages   []json.RawMessage
				Events     []event
				Ends       string
			}
		}
	}](t, "cursor.json")
	for _, try := range file.Cases {
		t.Run(try.Name, func(t *testing.T) {
			g := newGateway(t)
			client, _ := newClient(t, g.address())
			var want, seen []event
			var opened, asked []string
			for _, stream := range try.Streams {
				var steps []step
				for _, text := range stream.Messages {
					steps = append(steps, respond(message[pb.WatchGenerationsResponse](t, text)))
				}
				if stream.Ends == "breaks" {
					steps = append(steps, breaks)
				}
				g.on("WatchGenerations", sequence(steps...))
				want, opened = append(want, stream.Events...), append(opened, stream.OpenedWith)
			}

			from := func(r *hfgateway.WatchManyRequest) { r.ResumeToken = try.ResumeToken }
			for received, err := range client.WatchMany(within(t), &hfgateway.Filter{Ids: []string{"g1"}}, from) {
				if err != nil {
					t.Fatal(err)
				}
				seen = append(seen, asEvent(received))
			}

			for _, request := range requests[*pb.WatchGenerationsRequest](g, "WatchGenerations") {
				asked = append(asked, request.GetResumeToken())
			}
			if text(seen) != text(want) {
				t.Errorf("saw\n%+v instead of\n%+v", seen, want)
			}
			if !slices.Equal(asked, opened) {
				t.Errorf("opened with %q instead of %q", asked, opened)
			}
		})
	}
}

func TestVectorsOfInputs(t *testing.T) {
	file := vectors[struct {
		Inputs []struct {
			Name        string
			Constructor string
			Arguments   json.RawMessage
			Input       json.RawMessage
		}
	}](t, "inputs.json")
	for _, try := range file.Inputs {
		t.Run(try.Name, func(t *testing.T) {
			got := construct(t, try.Constructor, try.Arguments)
			if want := message[pb.GenerationInput](t, try.Input); !proto.Equal(got, want) {
				t.Errorf("%v instead of %v", got, want)
			}
		})
	}
}

// construct returns the input that a constructor makes of arguments in the vectors.
func construct(t *testing.T, constructor string, text json.RawMessage) *hfgateway.Input {
	t.Helper()
	var arguments struct {
		Prompt       string
		ImageURL     string   `json:"image_url"`
		ImageURLs    []string `json:"image_urls"`
		AudioURL     string   `json:"audio_url"`
		ModelID      string   `json:"model_id"`
		APIVersion   string   `json:"api_version"`
		Parameters   any
		Version      string
		Variant      string
		Quality      string
		AspectRatio  string   `json:"aspect_ratio"`
		Width        int32    `json:"width"`
		Height       int32    `json:"height"`
		Resolution   string   `json:"resolution"`
		BatchSize    int32    `json:"batch_size"`
		StyleID      string   `json:"style_id"`
		StyleShare   *float64 `json:"style_strength"`
		CharacterID  string   `json:"character_id"`
		LikenessPart *float64 `json:"character_strength"`
		Reference    string   `json:"image_reference_url"`
		EndImageURL  string   `json:"end_image_url"`
		Motions      map[string]*float64
		Duration     int32 `json:"duration_seconds"`
		Enhance      *bool `json:"enhance_prompt"`
		Seed         *int32
	}
	if err := json.Unmarshal(text, &arguments); err != nil {
		t.Fatal(err)
	}
	switch constructor {
	case "soul":
		return hfgateway.Soul(arguments.Prompt, func(in *hfgateway.SoulInput) {
			in.Version = pb.SoulVersion(named(pb.SoulVersion_value, "SOUL_VERSION_", arguments.Version))
			in.AspectRatio, in.Resolution = arguments.AspectRatio, arguments.Resolution
			in.Width, in.Height, in.BatchSize = arguments.Width, arguments.Height, arguments.BatchSize
			in.StyleId, in.StyleStrength = arguments.StyleID, arguments.StyleShare
			in.CharacterId, in.CharacterStrength = arguments.CharacterID, arguments.LikenessPart
			in.ImageReferenceUrl, in.EnhancePrompt, in.Seed = arguments.Reference, arguments.Enhance, arguments.Seed
		})
	case "dop":
		return hfgateway.Dop(arguments.Prompt, arguments.ImageURLs, func(in *hfgateway.DopInput) {
			in.Variant = pb.DopVariant(named(pb.DopVariant_value, "DOP_VARIANT_", arguments.Variant))
			in.EndImageUrl, in.EnhancePrompt, in.Seed = arguments.EndImageURL, arguments.Enhance, arguments.Seed
			for _, id := range slices.Sorted(maps.Keys(arguments.Motions)) {
				in.Motions = append(in.Motions, &pb.MotionStrength{MotionId: id, Strength: arguments.Motions[id]})
			}
		})
	case "speak":
		return hfgateway.Speak(arguments.ImageURL, arguments.AudioURL, arguments.Prompt, func(in *hfgateway.SpeakInput) {
			in.Quality = pb.SpeakQuality(named(pb.SpeakQuality_value, "SPEAK_QUALITY_", arguments.Quality))
			in.DurationSeconds, in.EnhancePrompt, in.Seed = arguments.Duration, arguments.Enhance, arguments.Seed
		})
	case "model":
		return hfgateway.Must(hfgateway.Model(arguments.ModelID, arguments.Parameters, func(in *hfgateway.ModelInput) {
			in.ApiVersion = pb.ApiVersion(named(pb.ApiVersion_value, "API_VERSION_", arguments.APIVersion))
		}))
	}
	t.Fatalf("no constructor %s", constructor)
	return nil
}

func named(values map[string]int32, prefix, name string) int32 {
	return values[prefix+strings.ToUpper(name)]
}

func TestVectorsOfRequests(t *testing.T) {
	file := vectors[struct {
		Requests []struct {
			Name      string
			Method    string
			Arguments json.RawMessage
			Message   string
			Request   json.RawMessage
		}
	}](t, "inputs.json")
	for _, try := range file.Requests {
		t.Run(try.Name, func(t *testing.T) {
			kind, err := protoregistry.GlobalTypes.FindMessageByName(
				protoreflect.FullName("hfgateway.v1." + try.Message))
			if err != nil {
				t.Fatal(err)
			}
			want := kind.New().Interface()
			if err := protojson.Unmarshal(try.Request, want); err != nil {
				t.Fatal(err)
			}
			g := newGateway(t)
			client, _ := newClient(t, g.address())
			rpc := strings.TrimSuffix(try.Message, "Request")
			g.on(rpc, map[string]step{
				"submit":             respond(&pb.SubmitGenerationResponse{}),
				"list":               respond(&pb.ListGenerationsResponse{}),
				"watch":              respond(),
				"watch_many":         respond(),
				"create_watch_token": respond(&pb.CreateWatchTokenResponse{}),
			}[try.Method])

			if err := request(t, client, try.Method, try.Arguments); err != nil {
				t.Fatal(err)
			}

			if got := g.received(rpc)[0].request; !proto.Equal(got, want) {
				t.Errorf("sent %v instead of %v", got, want)
			}
		})
	}
}

// request calls a method with arguments in the vectors, up to its first message.
func request(t *testing.T, client *hfgateway.Client, method string, text json.RawMessage) error {
	t.Helper()
	var arguments struct {
		Input             json.RawMessage
		ID                string
		IDs               []string
		States            []string
		ModelIDs          []string `json:"model_ids"`
		Labels            map[string]string
		IdempotencyKey    *string    `json:"idempotency_key"`
		CreatedAfter      *time.Time `json:"created_after"`
		CreatedBefore     *time.Time `json:"created_before"`
		WaitFor           string     `json:"wait_for"`
		WaitTimeout       *inSeconds `json:"wait_timeout"`
		StartTimeout      *inSeconds `json:"start_timeout"`
		FailWhenSaturated bool       `json:"fail_when_saturated"`
		OutputsTTL        *inSeconds `json:"outputs_ttl"`
		CallbackURL       string     `json:"callback_url"`
		IncludeInput      bool       `json:"include_input"`
		PageSize          int32      `json:"page_size"`
		AfterRevision     int32      `json:"after_revision"`
		ResumeToken       string     `json:"resume_token"`
		ForecastInterval  *inSeconds `json:"forecast_interval"`
		TTL               *inSeconds
	}
	if err := json.Unmarshal(text, &arguments); err != nil {
		t.Fatal(err)
	}
	filter := &hfgateway.Filter{Ids: arguments.IDs, ModelIds: arguments.ModelIDs, Labels: arguments.Labels}
	for _, state := range arguments.States {
		filter.States = append(filter.States, hfgateway.State(named(pb.GenerationState_value, "GENERATION_STATE_", state)))
	}
	if arguments.CreatedAfter != nil {
		filter.CreatedAfter = timestamppb.New(*arguments.CreatedAfter)
	}
	if arguments.CreatedBefore != nil {
		filter.CreatedBefore = timestamppb.New(*arguments.CreatedBefore)
	}
	ctx := within(t)
	switch method {
	case "submit":
		set := func(r *hfgateway.SubmitRequest) {
			if arguments.IdempotencyKey != nil {
				r.IdempotencyKey = *arguments.IdempotencyKey
			}
			if arguments.WaitFor != "" {
				r.WaitFor = pb.WaitFor(named(pb.WaitFor_value, "WAIT_FOR_", arguments.WaitFor))
			}
			r.Labels, r.FailWhenSaturated = arguments.Labels, arguments.FailWhenSaturated
			r.WaitTimeout, r.StartTimeout = arguments.WaitTimeout.message(), arguments.StartTimeout.message()
			r.OutputsTtl, r.CallbackUrl = arguments.OutputsTTL.message(), arguments.CallbackURL
		}
		_, err := client.Submit(ctx, message[pb.GenerationInput](t, arguments.Input), set)
		return err
	case "list":
		set := func(r *hfgateway.ListRequest) {
			r.IncludeInput, r.PageSize = arguments.IncludeInput, arguments.PageSize
		}
		if arguments.IdempotencyKey != nil {
			filter.IdempotencyKey = *arguments.IdempotencyKey
		}
		if string(text) == "{}" {
			filter = nil
		}
		for _, err := range client.List(ctx, filter, set) {
			return err
		}
		return nil
	case "watch":
		set := func(r *hfgateway.WatchRequest) {
			r.AfterRevision, r.IncludeInput = arguments.AfterRevision, arguments.IncludeInput
		}
		for _, err := range client.Watch(ctx, arguments.ID, set) {
			return err
		}
		return nil
	case "watch_many":
		set := func(r *hfgateway.WatchManyRequest) {
			r.ResumeToken, r.IncludeInput = arguments.ResumeToken, arguments.IncludeInput
			r.ForecastInterval = arguments.ForecastInterval.message()
		}
		for _, err := range client.WatchMany(ctx, filter, set) {
			return err
		}
		return nil
	case "create_watch_token":
		_, err := client.Tokens.CreateWatchToken(ctx, &pb.CreateWatchTokenRequest{
			Filter: filter, Ttl: arguments.TTL.message(), IncludeInput: arguments.IncludeInput,
		})
		return err
	}
	t.Fatalf("no method %s", method)
	return nil
}
