"""`pb_utils.Tensor` and the functions about datatypes and BYTES: what a python model reads from and writes into.

Source: Triton's python backend, `triton_python_backend_utils`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aisle_protocol.datatypes import datatype_of, dtype_of
from aisle_protocol.raw_contents import to_raw
from aisle_server.backends.python.errors import TritonModelException
from aisle_server.inference import Tensor as ServerTensor

# Triton's numbers of its datatypes, as `TRITONSERVER_DataType` counts them.
_NUMBERS: Final[Mapping[str, int]] = {
    "BOOL": 1,
    "UINT8": 2,
    "UINT16": 3,
    "UINT32": 4,
    "UINT64": 5,
    "INT8": 6,
    "INT16": 7,
    "INT32": 8,
    "INT64": 9,
    "FP16": 10,
    "FP32": 11,
    "FP64": 12,
    "BYTES": 13,
}
_DATATYPES: Final[Mapping[int, str]] = {number: datatype for datatype, number in _NUMBERS.items()}
_DLPACK_CPU: Final = (1, 0)


class Tensor:
    """A named array, on its way into a python model or out of it.

    The array of an input is read-only, for other requests and other models may look at the same memory: copy it before you write.
    """

    __slots__ = ("_array", "_name")

    def __init__(self, name: str, numpy_array: npt.NDArray[Any]) -> None:
        """Name an array. It is not copied.

        Args:
            name: As the model configuration names the tensor.
            numpy_array: Any shape. Text and bytes go in as objects, for NumPy cuts trailing zeros off its own strings.

        Raises:
            TritonModelException: This is no array, or no datatype of the protocol holds its dtype.
        """
        if not isinstance(numpy_array, np.ndarray):
            raise TritonModelException(
                f"tensor '{name}' was given a {type(numpy_array).__name__}; expected a numpy.ndarray"
            )
        if numpy_array.dtype.kind == "U":
            raise TritonModelException(
                f"tensor '{name}' was given text of dtype {numpy_array.dtype}; expected dtype object"
            )
        try:
            datatype_of(numpy_array.dtype)
        except ValueError as error:
            raise TritonModelException(f"tensor '{name}': {error}") from None
        self._name = name
        self._array = numpy_array

    @classmethod
    def of_input(cls, name: str, array: npt.NDArray[Any]) -> Tensor:
        """Wrap the array of an input. Not of Triton's interface.

        Args:
            name: Of the input.
            array: Of a datatype of the protocol.

        Returns:
            A tensor whose array shares the memory and cannot be written.
        """
        view = array.view()
        view.flags.writeable = False
        tensor = cls.__new__(cls)
        tensor._name = name
        tensor._array = view
        return tensor

    def to_server_tensor(self) -> ServerTensor:
        """Return this tensor as the server passes it to another model. Not of Triton's interface.

        Raises:
            TritonModelException: An element of a BYTES tensor is neither text nor bytes.
        """
        datatype = datatype_of(self._array.dtype)
        try:
            array = as_bytes(self._array) if datatype == "BYTES" else self._array
        except TypeError as error:
            raise TritonModelException(f"tensor '{self._name}' has {error}") from None
        return ServerTensor(self._name, datatype, array)

    def name(self) -> str:
        """Return the tensor's name."""
        return self._name

    def as_numpy(self) -> npt.NDArray[Any]:
        """Return the array. BYTES is an object array of `bytes`; BF16, which NumPy lacks, a uint16 array of bits."""
        return self._array

    def triton_dtype(self) -> int:
        """Return Triton's number of the datatype; BF16 counts as UINT16."""
        return _NUMBERS[datatype_of(self._array.dtype)]

    def shape(self) -> list[int]:
        """Return the dimensions, the batch dimension included."""
        return list(self._array.shape)

    def is_cpu(self) -> bool:
        """Return True: tensors stand in the memory of the CPU."""
        return True

    def to_dlpack(self) -> Any:
        """Return a DLPack capsule, for libraries that take arrays that way. An input, which is read-only, is copied."""
        return self.__dlpack__()

    def __dlpack__(self, *, stream: Any = None, **_: Any) -> Any:
        array = self._array if self._array.flags.writeable else self._array.copy()
        return array.__dlpack__(stream=stream)

    def __dlpack_device__(self) -> tuple[int, int]:
        return _DLPACK_CPU

    @staticmethod
    def from_dlpack(name: str, tensor: Any) -> Tensor:
        """Return a tensor that shares the memory of another library's.

        Args:
            name: Of the new tensor.
            tensor: Anything with `__dlpack__`, in the memory of the CPU, or a DLPack capsule.

        Raises:
            TritonModelException: It is neither, or lies on another device.
        """
        source = tensor if hasattr(tensor, "__dlpack__") else _Capsule(tensor)
        try:
            return Tensor(name, np.from_dlpack(source))
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            raise TritonModelException(f"tensor '{name}' cannot be made from DLPack: {error}") from error


class _Capsule:
    """A bare DLPack capsule, as NumPy wants it."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return _DLPACK_CPU


def as_bytes(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return text or bytes as the server holds BYTES: an object array of `bytes`. Not of Triton's interface.

    Raises:
        TypeError: An element is neither; the text says what it is.
    """
    elements = array.reshape(-1).tolist()
    if array.dtype == np.object_ and all(type(element) is bytes for element in elements):
        return array
    converted = np.empty(len(elements), dtype=np.object_)
    for index, element in enumerate(elements):
        if isinstance(element, str):
            converted[index] = element.encode()
        elif isinstance(element, bytes):
            converted[index] = bytes(element)
        else:
            raise TypeError(f"an element that is a {type(element).__name__}; expected bytes or str")
    return converted.reshape(array.shape)


def triton_string_to_numpy(triton_type_string: str) -> type[Any]:
    """Return the NumPy type of a datatype as model configurations spell it, such as `TYPE_FP32`.

    Raises:
        TritonModelException: There is no such datatype.
    """
    datatype = "BYTES" if triton_type_string == "TYPE_STRING" else triton_type_string.removeprefix("TYPE_")
    if datatype not in _NUMBERS or not triton_type_string.startswith("TYPE_"):
        raise TritonModelException(
            f"'{triton_type_string}' is no datatype that NumPy holds; expected one like TYPE_FP32"
        )
    return dtype_of(datatype).type


def triton_to_numpy_type(data_type: int) -> type[Any]:
    """Return the NumPy type of a datatype by Triton's number.

    Raises:
        TritonModelException: There is no such datatype.
    """
    try:
        return dtype_of(_DATATYPES[data_type]).type
    except KeyError:
        raise TritonModelException(f"{data_type!r} is no datatype's number; expected 1 to {len(_NUMBERS)}") from None


def numpy_to_triton_type(data_type: npt.DTypeLike) -> int:
    """Return Triton's number of the datatype that holds a NumPy dtype.

    Raises:
        TritonModelException: There is none.
    """
    try:
        return _NUMBERS[datatype_of(data_type)]
    except ValueError as error:
        raise TritonModelException(str(error)) from None


def serialize_byte_tensor(input_tensor: npt.NDArray[Any]) -> bytes:
    """Return a BYTES array as it is on the wire: each element after its length in four bytes.

    Args:
        input_tensor: Any shape, of `bytes`, or of `str` which goes out as UTF-8.

    Raises:
        TritonModelException: An element is neither.
    """
    try:
        return to_raw(np.asarray(input_tensor), "BYTES")
    except ValueError as error:
        raise TritonModelException(str(error)) from None


def deserialize_bytes_tensor(encoded_tensor: bytes) -> npt.NDArray[np.object_]:
    """Return the elements of a BYTES tensor from their form on the wire.

    Args:
        encoded_tensor: As `serialize_byte_tensor` gives it.

    Returns:
        One dimension, of `bytes`.

    Raises:
        TritonModelException: The bytes end within an element.
    """
    elements: list[bytes] = []
    offset, end = 0, len(encoded_tensor)
    while offset < end:
        length = int.from_bytes(encoded_tensor[offset : offset + 4], "little")
        start, offset = offset + 4, offset + 4 + length
        if offset > end:
            raise TritonModelException(f"element {len(elements)} runs past the end of the {end} bytes of the tensor")
        elements.append(bytes(encoded_tensor[start:offset]))
    array = np.empty(len(elements), dtype=np.object_)
    array[:] = elements
    return array
