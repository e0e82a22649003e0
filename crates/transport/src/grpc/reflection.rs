// SPDX-License-Identifier: Apache-2.0
//! Server reflection: what `grpcurl` and its like ask for before they call something.
//!
//! `grpc.reflection.v1` and `v1alpha` have the same bytes; the former's messages serve both.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use http::request::Parts;
use prost::Message;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use tensorserve_protos::grpc::reflection::v1::server_reflection_request::MessageRequest;
use tensorserve_protos::grpc::reflection::v1::server_reflection_response::MessageResponse;
use tensorserve_protos::grpc::reflection::v1::{
    ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse, ServerReflectionRequest,
    ServerReflectionResponse, ServiceResponse,
};
use tensorserve_protos::{FILE_DESCRIPTOR_SET, descriptor_pool};
use tensorserve_servables::{Code, Result, ServingError};

use super::message::{Messages, framed, joined};
use super::replies::Replies;
use crate::serving::Serving;
use crate::serving::{drained, stopping};

const SESSION_SERVICE: &str = "tensorflow.serving.SessionService";

/// Answers requests in their order until the client has sent its last.
pub(super) async fn answer_all(
    head: &Parts,
    mut requests: Messages,
    replies: &mut Replies,
    serving: &Serving,
) -> Result<()> {
    loop {
        let request = tokio::select! {
            request = requests.next(head) => request?,
            () = drained(serving) => return Err(stopping()),
        };
        let Some(pieces) = request else { return Ok(()) };
        let request = ServerReflectionRequest::decode(joined(&pieces)).map_err(|error| {
            ServingError::internal(format!("the request is not a ServerReflectionRequest: {error}"))
        })?;
        replies.send(framed(&answer(request, serving), serving.options.max_message_bytes())?).await?;
    }
}

fn answer(request: ServerReflectionRequest, serving: &Serving) -> ServerReflectionResponse {
    let response = match &request.message_request {
        Some(asked) => look_up(asked, serving),
        None => Err(ServingError::invalid_argument("the request asks for nothing")),
    };
    let response = response.unwrap_or_else(|error| {
        MessageResponse::ErrorResponse(ErrorResponse { error_code: error.code as i32, error_message: error.message })
    });
    ServerReflectionResponse {
        valid_host: request.host.clone(),
        original_request: Some(request),
        message_response: Some(response),
    }
}

fn look_up(asked: &MessageRequest, serving: &Serving) -> Result<MessageResponse> {
    let library = &*LIBRARY;
    match asked {
        MessageRequest::ListServices(_) => {
            let services = descriptor_pool().services().map(|service| service.full_name().to_owned());
            let offered = services.filter(|name| name != SESSION_SERVICE || serving.options.enable_session_service);
            let service = offered.map(|name| ServiceResponse { name }).collect();
            Ok(MessageResponse::ListServicesResponse(ListServiceResponse { service }))
        }
        MessageRequest::FileByFilename(name) => library.files_for(library.by_name.get(name.as_str()), name),
        MessageRequest::FileContainingSymbol(symbol) => {
            let symbol = symbol.strip_prefix('.').unwrap_or(symbol);
            library.files_for(library.by_symbol.get(symbol), symbol)
        }
        MessageRequest::FileContainingExtension(asked) => {
            let what = format!("extension {} of {}", asked.extension_number, asked.containing_type);
            let number = u32::try_from(asked.extension_number).ok();
            let message = descriptor_pool().get_message_by_name(&asked.containing_type);
            let extension = message.zip(number).and_then(|(message, number)| message.get_extension(number));
            let file = extension.map(|extension| extension.parent_file());
            library.files_for(file.and_then(|file| library.by_name.get(file.name())), &what)
        }
        MessageRequest::AllExtensionNumbersOfType(name) => {
            let message = descriptor_pool().get_message_by_name(name).ok_or_else(|| not_found(name))?;
            let extension_number = message.extensions().map(|extension| extension.number() as i32).collect();
            Ok(MessageResponse::AllExtensionNumbersResponse(ExtensionNumberResponse {
                base_type_name: name.clone(),
                extension_number,
            }))
        }
    }
}

fn not_found(what: &str) -> ServingError {
    ServingError::new(Code::NotFound, format!("{what} not found"))
}

/// All definitions, and where each name stands.
#[derive(Default)]
struct Library {
    files: Vec<FileDescriptorProto>,
    by_name: HashMap<String, usize>,
    by_symbol: HashMap<String, usize>,
}

/// Made when somebody asks for the first time.
static LIBRARY: LazyLock<Library> = LazyLock::new(|| {
    let mut library = Library::default();
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap_or_default().file;
    for (at, file) in files.iter().enumerate() {
        library.by_name.insert(file.name().to_owned(), at);
        library.add_symbols_of(file, at);
    }
    library.files = files;
    library
});

impl Library {
    fn add_symbols_of(&mut self, file: &FileDescriptorProto, at: usize) {
        let package = file.package();
        file.message_type.iter().for_each(|message| self.add_message(package, message, at));
        file.enum_type.iter().for_each(|of_values| self.add_enum(package, of_values, at));
        for service in &file.service {
            let name = self.add(package, service.name(), at);
            for method in &service.method {
                self.add(&name, method.name(), at);
            }
        }
        for extension in &file.extension {
            self.add(package, extension.name(), at);
        }
    }

    fn add_message(&mut self, scope: &str, message: &DescriptorProto, at: usize) {
        let name = self.add(scope, message.name(), at);
        for field in message.field.iter().chain(&message.extension) {
            self.add(&name, field.name(), at);
        }
        for oneof in &message.oneof_decl {
            self.add(&name, oneof.name(), at);
        }
        message.nested_type.iter().for_each(|nested| self.add_message(&name, nested, at));
        message.enum_type.iter().for_each(|of_values| self.add_enum(&name, of_values, at));
    }

    /// The values of an enum are siblings of it, as in C++.
    fn add_enum(&mut self, scope: &str, of_values: &EnumDescriptorProto, at: usize) {
        self.add(scope, of_values.name(), at);
        for value in &of_values.value {
            self.add(scope, value.name(), at);
        }
    }

    fn add(&mut self, scope: &str, name: &str, at: usize) -> String {
        let name = if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") };
        self.by_symbol.insert(name.clone(), at);
        name
    }

    /// The file, and after it every file that it needs.
    fn files_for(&self, at: Option<&usize>, what: &str) -> Result<MessageResponse> {
        let mut found = vec![*at.ok_or_else(|| not_found(what))?];
        let mut seen: HashSet<usize> = found.iter().copied().collect();
        let mut next = 0;
        while let Some(&file) = found.get(next) {
            let needed = self.files[file].dependency.iter().filter_map(|name| self.by_name.get(name));
            found.extend(needed.filter(|&&at| seen.insert(at)));
            next += 1;
        }
        let file_descriptor_proto = found.into_iter().map(|at| self.files[at].encode_to_vec()).collect();
        Ok(MessageResponse::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(symbol: &str) -> Vec<String> {
        let library = &*LIBRARY;
        let Ok(MessageResponse::FileDescriptorResponse(response)) =
            library.files_for(library.by_symbol.get(symbol), symbol)
        else {
            return Vec::new();
        };
        let name = |bytes: &Vec<u8>| FileDescriptorProto::decode(&**bytes).unwrap().name().to_owned();
        response.file_descriptor_proto.iter().map(name).collect()
    }

    #[test]
    fn a_symbol_brings_its_file_and_all_that_it_needs() {
        for symbol in ["PredictRequest", "PredictRequest.inputs", "PredictRequest.InputsEntry"] {
            let found = files(&format!("tensorflow.serving.{symbol}"));
            assert_eq!(found[0], "tensorflow_serving/apis/predict.proto", "{symbol}");
            assert!(found.contains(&"tensorflow/core/framework/tensor_shape.proto".to_owned()), "{found:?}");
            assert_eq!(found.iter().collect::<HashSet<_>>().len(), found.len());
        }
    }

    #[test]
    fn symbols_of_every_kind_are_known() {
        for (symbol, file) in [
            ("tensorflow.serving.PredictionService.Predict", "tensorflow_serving/apis/prediction_service.proto"),
            ("tensorflow.DT_FLOAT", "tensorflow/core/framework/types.proto"),
            ("tensorflow.DataType", "tensorflow/core/framework/types.proto"),
            ("tensorflow.serving.ModelSpec.version_choice", "tensorflow_serving/apis/model.proto"),
            ("google.protobuf.Any", "google/protobuf/any.proto"),
        ] {
            assert_eq!(files(symbol)[0], file);
        }
        assert_eq!(files("tensorflow.serving.Nothing"), Vec::<String>::new());
    }
}
