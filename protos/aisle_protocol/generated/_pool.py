"""The descriptor pool of Aisle's stubs, apart from the default one. Written by protos/generate.py."""

from google.protobuf.descriptor_pool import DescriptorPool

POOL = DescriptorPool()
