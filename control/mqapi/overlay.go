package mqapi

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// BotocoreExtras is a file that teaches botocore, and with it boto3 and the AWS CLI, what is Godwit's own of this API: as
// mq/2017-11-27/service-2.sdk-extras.json in a folder that AWS_DATA_PATH names, it is merged into the model that they have.
func BotocoreExtras() ([]byte, error) {
	o := overlay{operations: map[string]any{}, shapes: map[string]any{}}
	for op := range ordered() {
		o.structure(op.Name+"Request", op.Request, op.Extra)
		if op.Response != nil {
			o.structure(op.Name+"Response", op.Response, op.Extra)
		}
		if op.Extra {
			o.operation(op)
		}
	}
	for name, structure := range Structures {
		isNew := !slices.ContainsFunc(Members(structure), func(m Member) bool { return !m.Extra })
		o.structure(name, structure, isNew)
	}
	return json.MarshalIndent(map[string]any{"version": 1.0, "merge": map[string]any{"operations": o.operations, "shapes": o.shapes}}, "", " ")
}

type overlay struct{ operations, shapes map[string]any }

func (o *overlay) operation(op *Operation) {
	var errors []any
	for _, k := range op.Errors {
		errors = append(errors, map[string]any{"shape": string(k)})
	}
	o.operations[op.Name] = map[string]any{
		"name": op.Name, "http": map[string]any{"method": op.Method, "requestUri": op.Path, "responseCode": op.Success},
		"input": map[string]any{"shape": op.Name + "Request"}, "output": map[string]any{"shape": op.Name + "Response"}, "errors": errors,
		"documentation": "<p>" + op.Name + " " + op.Doc + "</p>",
	}
}

// structure says all members of a new one, else those that Amazon's has not.
func (o *overlay) structure(name string, of reflect.Type, isNew bool) {
	members := map[string]any{}
	var required []string
	for _, m := range Members(of) {
		if !isNew && !m.Extra {
			continue
		}
		member := map[string]any{"shape": o.shape(m.Type), "locationName": m.Wire}
		switch m.In {
		case "path":
			member["location"] = "uri"
		case "query":
			member["location"] = "querystring"
		}
		if m.Doc != "" {
			member["documentation"] = "<p>" + memberName(m.Wire) + " " + m.Doc + ".</p>"
		}
		members[memberName(m.Wire)] = member
		if m.Required {
			required = append(required, memberName(m.Wire))
		}
	}
	if len(members) == 0 && !isNew {
		return
	}
	shape := map[string]any{"type": "structure", "members": members}
	if len(required) > 0 {
		shape["required"] = required
	}
	o.shapes[name] = shape
}

// memberName is how callers of botocore write a member: BrokerId for broker-id.
func memberName(wire string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(wire, "-") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

// shape is the name of a type in botocore's model. A list of structures of ours is not there yet.
func (o *overlay) shape(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return o.shape(t.Elem())
	case reflect.Slice:
		of := o.shape(t.Elem())
		name := "__listOf" + of
		if of != "__string" {
			o.shapes[name] = map[string]any{"type": "list", "member": map[string]any{"shape": of}}
		}
		return name
	case reflect.Map:
		return "__mapOf__string"
	case reflect.Bool:
		return "__boolean"
	case reflect.Int32:
		return "__integer"
	case reflect.String:
		if t.Name() == "string" {
			return "__string"
		}
	}
	if t == reflect.TypeFor[Timestamp]() {
		return "__timestampIso8601"
	}
	for name, structure := range Structures {
		if structure == t {
			return name
		}
	}
	return t.Name() // of an enumeration
}
