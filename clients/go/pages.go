package hfgateway

import (
	"iter"

	"google.golang.org/protobuf/proto"
)

// sequence yields what is on page after page, which are fetched as they are needed: the first by an empty token, each other
// by the token that the one before it returned beside its items. An error is the last that comes.
func sequence[Item any](page func(token string) ([]Item, string, error)) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for token := ""; ; {
			items, next, err := page(token)
			if err != nil {
				var none Item
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			token = next
		}
	}
}

// copyOf a caller's query, for a page's token to be put into; an empty one of none.
func copyOf[Query any, Message interface {
	*Query
	proto.Message
}](query Message) Message {
	request := Message(new(Query))
	if query != nil {
		proto.Merge(request, query)
	}
	return request
}
