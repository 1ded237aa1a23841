package main

import (
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/boolplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int32planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/objectplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/setplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"
)

// What is not said stays as it is; so a plan does not say that it may change.
var (
	same       = []planmodifier.String{stringplanmodifier.UseStateForUnknown()}
	sameInt    = []planmodifier.Int32{int32planmodifier.UseStateForUnknown()}
	sameBool   = []planmodifier.Bool{boolplanmodifier.UseStateForUnknown()}
	sameSet    = []planmodifier.Set{setplanmodifier.UseStateForUnknown()}
	sameObject = []planmodifier.Object{objectplanmodifier.UseStateForUnknown()}
)

var asIs = basetypes.ObjectAsOptions{}

func number(n types.Int32) *int32 {
	if n.IsNull() || n.IsUnknown() {
		return nil
	}
	return n.ValueInt32Pointer()
}
