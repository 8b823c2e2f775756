"""The tables of a .tflite file: for each table its fields in the order of their flatbuffer ids.

A field is `name:kind`; kinds are struct format codes of scalars (`i` = int32, `?` = bool, …), `string`, a table's name,
`union` (its tag is the field before it, named `…_type`), or any but a union in brackets for a vector; `-` is a field
that is no longer used. Source: the TensorFlow Lite schema, version 3, as of LiteRT 2.3. A test holds this page against
`ai_edge_litert.schema_py_generated`; it is repeated here because `tflite-runtime` (32-bit ARM) ships no schema, and
because the generated reader checks no bounds and packs vectors one element at a time.
"""

from __future__ import annotations

FILE_IDENTIFIER = b"TFL3"

_FRAME = """
Model version:I operator_codes:[OperatorCode] subgraphs:[SubGraph] description:string buffers:[Buffer]
  metadata_buffer:[i] metadata:[Metadata] signature_defs:[SignatureDef] external_buffer_groups:[ExternalBufferGroup]
  external_buffers:[ExternalBuffer]
OperatorCode deprecated_builtin_code:b custom_code:string version:i builtin_code:i
SubGraph tensors:[Tensor] inputs:[i] outputs:[i] operators:[Operator] name:string debug_metadata_index:i
Buffer data:[B] offset:Q size:Q
ExternalBufferGroup name:string
ExternalBuffer id:I group:I offset:Q length:Q packing:string
Metadata name:string buffer:I
TensorMap name:string tensor_index:I
SignatureDef inputs:[TensorMap] outputs:[TensorMap] signature_key:string - subgraph_index:I
Tensor shape:[i] type:b buffer:I name:string quantization:QuantizationParameters is_variable:?
  sparsity:SparsityParameters shape_signature:[i] has_rank:? variant_tensors:[VariantSubType] external_buffer:I
VariantSubType shape:[i] type:b has_rank:?
QuantizationParameters min:[f] max:[f] scale:[f] zero_point:[q] details_type:B details:union quantized_dimension:i
CustomQuantization custom:[B]
BlockwiseQuantization scales:i zero_points:i block_size:i block_shape:[i]
MultiAxisQuantization scales:i zero_points:i block_size:i quantized_dimensions:[i]
SparsityParameters traversal_order:[i] block_map:[i] dim_metadata:[DimensionMetadata]
DimensionMetadata format:b dense_size:i array_segments_type:B array_segments:union array_indices_type:B
  array_indices:union
Int32Vector values:[i]
Uint16Vector values:[H]
Uint8Vector values:[B]
Operator opcode_index:I inputs:[i] outputs:[i] builtin_options_type:B builtin_options:union custom_options:[B]
  custom_options_format:b mutating_variable_inputs:[?] intermediates:[i] large_custom_options_offset:Q
  large_custom_options_size:Q builtin_options2_type:B builtin_options2:union debug_metadata_index:i
"""

# The position in this list is the tag of the union; options of which nothing more is said hold no field.
_OPTIONS = """
NONE
Conv2DOptions padding:b stride_w:i stride_h:i fused_activation_function:b dilation_w_factor:i dilation_h_factor:i
  quantized_bias_type:b
DepthwiseConv2DOptions padding:b stride_w:i stride_h:i depth_multiplier:i fused_activation_function:b
  dilation_w_factor:i dilation_h_factor:i
ConcatEmbeddingsOptions num_channels:i num_columns_per_channel:[i] embedding_dim_per_channel:[i]
LSHProjectionOptions type:b
Pool2DOptions padding:b stride_w:i stride_h:i filter_width:i filter_height:i fused_activation_function:b
SVDFOptions rank:i fused_activation_function:b asymmetric_quantize_inputs:?
RNNOptions fused_activation_function:b asymmetric_quantize_inputs:?
FullyConnectedOptions fused_activation_function:b weights_format:b keep_num_dims:? asymmetric_quantize_inputs:?
  quantized_bias_type:b quant_spec:[B]
SoftmaxOptions beta:f
ConcatenationOptions axis:i fused_activation_function:b
AddOptions fused_activation_function:b pot_scale_int16:?
L2NormOptions fused_activation_function:b
LocalResponseNormalizationOptions radius:i bias:f alpha:f beta:f
LSTMOptions fused_activation_function:b cell_clip:f proj_clip:f kernel_type:b asymmetric_quantize_inputs:?
ResizeBilinearOptions - - align_corners:? half_pixel_centers:?
CallOptions subgraph:I
ReshapeOptions new_shape:[i]
SkipGramOptions ngram_size:i max_skip_size:i include_all_ngrams:?
SpaceToDepthOptions block_size:i
EmbeddingLookupSparseOptions combiner:b
MulOptions fused_activation_function:b
PadOptions
GatherOptions axis:i batch_dims:i
BatchToSpaceNDOptions
SpaceToBatchNDOptions
TransposeOptions
ReducerOptions keep_dims:?
SubOptions fused_activation_function:b pot_scale_int16:?
DivOptions fused_activation_function:b
SqueezeOptions squeeze_dims:[i]
SequenceRNNOptions time_major:? fused_activation_function:b asymmetric_quantize_inputs:?
StridedSliceOptions begin_mask:i end_mask:i ellipsis_mask:i new_axis_mask:i shrink_axis_mask:i offset:?
ExpOptions
TopKV2Options
SplitOptions num_splits:i
LogSoftmaxOptions
CastOptions in_data_type:b out_data_type:b
DequantizeOptions
MaximumMinimumOptions
ArgMaxOptions output_type:b
LessOptions
NegOptions
PadV2Options
GreaterOptions
GreaterEqualOptions
LessEqualOptions
SelectOptions
SliceOptions
TransposeConvOptions padding:b stride_w:i stride_h:i fused_activation_function:b quantized_bias_type:b
SparseToDenseOptions validate_indices:?
TileOptions
ExpandDimsOptions
EqualOptions
NotEqualOptions
ShapeOptions out_type:b
PowOptions
ArgMinOptions output_type:b
FakeQuantOptions min:f max:f num_bits:i narrow_range:?
PackOptions values_count:i axis:i
LogicalOrOptions
OneHotOptions axis:i
LogicalAndOptions
LogicalNotOptions
UnpackOptions num:i axis:i
FloorDivOptions
SquareOptions
ZerosLikeOptions
FillOptions
BidirectionalSequenceLSTMOptions fused_activation_function:b cell_clip:f proj_clip:f merge_outputs:? time_major:?
  asymmetric_quantize_inputs:?
BidirectionalSequenceRNNOptions time_major:? fused_activation_function:b merge_outputs:? asymmetric_quantize_inputs:?
UnidirectionalSequenceLSTMOptions fused_activation_function:b cell_clip:f proj_clip:f time_major:?
  asymmetric_quantize_inputs:? diagonal_recurrent_tensors:?
FloorModOptions
RangeOptions
ResizeNearestNeighborOptions align_corners:? half_pixel_centers:?
LeakyReluOptions alpha:f
SquaredDifferenceOptions
MirrorPadOptions mode:b
AbsOptions
SplitVOptions num_splits:i
UniqueOptions idx_out_type:b
ReverseV2Options
AddNOptions
GatherNdOptions
CosOptions
WhereOptions
RankOptions
ReverseSequenceOptions seq_dim:i batch_dim:i
MatrixDiagOptions
QuantizeOptions
MatrixSetDiagOptions
HardSwishOptions
IfOptions then_subgraph_index:i else_subgraph_index:i
WhileOptions cond_subgraph_index:i body_subgraph_index:i
DepthToSpaceOptions block_size:i
NonMaxSuppressionV4Options
NonMaxSuppressionV5Options
ScatterNdOptions
SelectV2Options
DensifyOptions
SegmentSumOptions
BatchMatMulOptions adj_x:? adj_y:? asymmetric_quantize_inputs:?
CumsumOptions exclusive:? reverse:?
CallOnceOptions init_subgraph_index:i
BroadcastToOptions
Rfft2dOptions
Conv3DOptions padding:b stride_d:i stride_w:i stride_h:i fused_activation_function:b dilation_d_factor:i
  dilation_w_factor:i dilation_h_factor:i
HashtableOptions table_id:i key_dtype:b value_dtype:b
HashtableFindOptions
HashtableImportOptions
HashtableSizeOptions
VarHandleOptions container:string shared_name:string
ReadVariableOptions
AssignVariableOptions
RandomOptions seed:q seed2:q
BucketizeOptions boundaries:[f]
GeluOptions approximate:?
DynamicUpdateSliceOptions
UnsortedSegmentProdOptions
UnsortedSegmentMaxOptions
UnsortedSegmentMinOptions
UnsortedSegmentSumOptions
ATan2Options
SignOptions
BitcastOptions
BitwiseXorOptions
RightShiftOptions
"""

_OPTIONS2 = """
NONE
StablehloConcatenateOptions dimension:q
StablehloBroadcastInDimOptions broadcast_dimensions:[q]
StablehloSliceOptions start_indices:[q] limit_indices:[q] strides:[q]
StablehloConvolutionOptions window_strides:[q] padding:[q] lhs_dilation:[q] rhs_dilation:[q] window_reversal:[?]
  input_batch_dimension:q input_feature_dimension:q input_spatial_dimensions:[q] kernel_input_feature_dimension:q
  kernel_output_feature_dimension:q kernel_spatial_dimensions:[q] output_batch_dimension:q
  output_feature_dimension:q output_spatial_dimensions:[q] feature_group_count:q batch_group_count:q
  precision_config:[I]
StablehloCustomCallOptions call_target_name:string has_side_effect:? backend_config:string api_version:i
  called_computations:[i] custom_attributes:[B]
StablehloReduceOptions dimensions:[q] body_subgraph_index:i
StablehloScatterOptions indices_are_sorted:? update_window_dims:[q] inserted_window_dims:[q]
  scatter_dims_to_operand_dims:[q] index_vector_dim:q unique_indices:? update_computation_subgraph_index:i
StablehloCompareOptions comparison_direction:I compare_type:I
StablehloDynamicSliceOptions slice_sizes:[q]
StablehloPadOptions edge_padding_low:[q] edge_padding_high:[q] interior_padding:[q]
StablehloIotaOptions iota_dimension:q
StablehloDotGeneralOptions lhs_batching_dimensions:[q] rhs_batching_dimensions:[q] lhs_contracting_dimensions:[q]
  rhs_contracting_dimensions:[q] precision_config:[I]
StablehloReduceWindowOptions window_dimensions:[q] window_strides:[q] base_dilations:[q] window_dilations:[q]
  padding:[q] body_subgraph_index:i
StablehloSortOptions dimension:q is_stable:? comparator_subgraph_index:i
StablehloWhileOptions cond_subgraph_index:i body_subgraph_index:i
StablehloGatherOptions offset_dims:[q] collapsed_slice_dims:[q] start_index_map:[q] index_vector_dim:q
  slice_sizes:[q] indices_are_sorted:?
StablehloTransposeOptions permutation:[q]
DilateOptions
StablehloRngBitGeneratorOptions algorithm:b
ReduceWindowOptions reduce_function:i
StableHLOCompositeOptions name:string decomposition_subgraph_index:i composite_attributes:[B]
  composite_attributes_format:b version:i
StablehloShiftLeftOptions
StablehloCaseOptions branch_subgraph_indices:[i]
"""


def _tables(page: str) -> dict[str, tuple[tuple[str, str], ...]]:
    """Return `{table: ((field, kind), …)}` of one page of the schema, in its order."""
    rows = page.strip().replace("\n  ", " ").splitlines()
    return {
        name: tuple((field.partition(":")[0], field.partition(":")[2]) for field in fields)
        for name, *fields in map(str.split, rows)
    }


_OPTION_TABLES, _OPTION2_TABLES = _tables(_OPTIONS), _tables(_OPTIONS2)

TABLES: dict[str, tuple[tuple[str, str], ...]] = _tables(_FRAME) | _OPTION_TABLES | _OPTION2_TABLES

UNIONS: dict[str, tuple[str, ...]] = {
    "builtin_options": tuple(_OPTION_TABLES),
    "builtin_options2": tuple(_OPTION2_TABLES),
    "details": ("NONE", "CustomQuantization", "BlockwiseQuantization", "MultiAxisQuantization"),
    "array_segments": ("NONE", "Int32Vector", "Uint16Vector", "Uint8Vector"),
    "array_indices": ("NONE", "Int32Vector", "Uint16Vector", "Uint8Vector"),
}
"""For each union field the table that each tag stands for."""

_OPERATORS = """
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR
FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM
MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS
SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND
SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN
EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2
GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG
SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT
UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU
SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE
MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5
SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO
RFFT2D CONV_3D IMAG REAL COMPLEX_ABS HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL
CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE
RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX
UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD
STABLEHLO_DIVIDE STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_RESHAPE STABLEHLO_CLAMP STABLEHLO_CONCATENATE
STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE STABLEHLO_ABS
STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR STABLEHLO_LOG STABLEHLO_MINIMUM STABLEHLO_NEGATE
STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER STABLEHLO_RSQRT STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH
STABLEHLO_SCATTER STABLEHLO_COMPARE STABLEHLO_CONVERT STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE
STABLEHLO_PAD STABLEHLO_IOTA STABLEHLO_DOT_GENERAL STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE
STABLEHLO_GATHER STABLEHLO_TRANSPOSE DILATE STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW STABLEHLO_COMPOSITE
STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT STABLEHLO_CASE
"""
OPERATORS: tuple[str, ...] = tuple(_OPERATORS.split())
"""The names of the built-in operators; the position is the code in the file."""

_TENSOR_TYPES = """
float32 float16 int32 uint8 int64 string bool int16 complex64 int8 float64 complex128 uint64 resource variant uint32
uint16 int4 bfloat16 int2 uint4 float8_e4m3fn float8_e5m2
"""
TENSOR_TYPES: tuple[str, ...] = tuple(_TENSOR_TYPES.split())
"""The element types, by numpy's name where numpy has them; the position is the code in the file."""
