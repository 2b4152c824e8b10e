package dump

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// element is a node of an XML file.
type element struct {
	name, space string
	attributes  map[string]string // by local name
	children    []*element
	text        string
	line        int
}

// child returns the first one of a name; where there is none, an empty element, so that
// paths can be followed without asking at each step.
func (e *element) child(path ...string) *element {
	for _, name := range path {
		next := &element{line: e.line}
		for _, child := range e.children {
			if child.name == name {
				next = child
				break
			}
		}
		e = next
	}
	return e
}

// each calls do with the element and all inside it.
func (e *element) each(do func(*element)) {
	do(e)
	for _, child := range e.children {
		child.each(do)
	}
}

func parseXML(content []byte) (*element, error) {
	decoder := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(content, []byte("\ufeff"))))
	var stack []*element
	var root *element
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			if root == nil {
				return nil, errors.New("there is no element")
			}
			return root, nil
		}
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			line, _ := decoder.InputPos()
			e := &element{name: token.Name.Local, space: token.Name.Space, attributes: map[string]string{}, line: line}
			for _, attribute := range token.Attr {
				e.attributes[attribute.Name.Local] = attribute.Value
			}
			if len(stack) > 0 {
				parent := stack[len(stack)-1]
				parent.children = append(parent.children, e)
			} else {
				root = e
			}
			stack = append(stack, e)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			if len(stack) > 0 {
				stack[len(stack)-1].text += strings.TrimSpace(string(token))
			}
		}
	}
}
