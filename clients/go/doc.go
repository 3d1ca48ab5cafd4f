// Package hfgateway is the Go client of Higgsfield Gateway: submit generations of images and videos, follow them to
// their end, upload what they need.
//
//	client, err := hfgateway.New("127.0.0.1:50051")
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	image, err := client.Generate(ctx, hfgateway.Soul("a lighthouse at dusk"))
//	if err != nil {
//		return err
//	}
//	fmt.Println(image.Outputs[0].Url)
//
// # Charged once
//
// Every submission carries an idempotency key, the caller's or a UUID, and a submission whose answer was lost is repeated
// under the same key. Nothing is ever submitted again under another one. The key of a submission that failed for good is
// in [Error.IdempotencyKey]: submit with it again, or list by it, to find out what became of it.
//
// # Contexts
//
// A context's end ends the call, watch or sequence that it was given to, at the gateway too. It never ends the generation:
// that is what [Client.Cancel] is for. The error then is context.Canceled or context.DeadlineExceeded to [errors.Is].
//
// # Errors
//
// A call that failed returns an [*Error]. Match what happened with errors.Is and the Err variables: there is one for each
// reason of the gateway, and one for each gRPC code, which covers the reasons with that code: what is [ErrModelUnknown] is
// [ErrNotFound], too. [Client.Generate] returns a [*GenerationError] for a generation that ended without output, and
// [Client.TrainCharacter] a [*TrainingError] for a character whose training failed.
//
// Messages are those of the generated package, [github.com/hfgateway/hfgateway/generated/go/hfgateway/v1], under shorter
// names.
package hfgateway
